using System.Collections.Immutable;
using System.Runtime.InteropServices;
using System.Text.Json;

namespace CloudShards.Formats.Safetensors;

/// <summary>Reads the JSON of a header: <c>{name: {dtype, shape, data_offsets}, "__metadata__": {text: text}}</c>.</summary>
internal static class SafetensorsJson
{
    /// <summary>Reads tensors in the header's order, each checked by itself, and the metadata.</summary>
    /// <param name="reader">At the start of the header.</param>
    /// <param name="dataStart">The byte of the file from which offsets count.</param>
    /// <param name="limits">Bounds on what the header may hold.</param>
    public static (ImmutableArray<TensorInfo> Tensors, ImmutableSortedDictionary<string, string> Metadata) Read(
        ref Utf8JsonReader reader, long dataStart, CheckpointLimits limits)
    {
        var tensors = ImmutableArray.CreateBuilder<TensorInfo>();
        var names = new HashSet<string>(StringComparer.Ordinal);
        var metadata = CheckpointValues.NoMetadata;
        Expect(ref reader, JsonTokenType.StartObject, null);
        while (ReadName(ref reader) is { } name)
        {
            if (!names.Add(name))
            {
                throw Errors.DuplicateHeaderName(name, sizeof(ulong) + reader.TokenStartIndex);
            }

            if (name == "__metadata__")
            {
                metadata = ReadMetadata(ref reader, limits);
                continue;
            }

            if (tensors.Count == limits.MaxTensors)
            {
                throw Errors.LimitExceeded("the number of tensors", limits.MaxTensors + 1L, limits.MaxTensors, nameof(limits.MaxTensors));
            }

            tensors.Add(ReadTensor(ref reader, name, dataStart, limits));
        }

        // What follows may only be white space.
        reader.Read();
        return (tensors.DrainToImmutable(), metadata);
    }

    private static TensorInfo ReadTensor(ref Utf8JsonReader reader, string name, long dataStart, CheckpointLimits limits)
    {
        if (name.Length > limits.MaxNameLength)
        {
            throw Errors.LimitExceeded("the characters of a name", name.Length, limits.MaxNameLength, nameof(limits.MaxNameLength));
        }

        TensorDType? dtype = null;
        ImmutableArray<long>? shape = null;
        (long Begin, long End)? offsets = null;
        Expect(ref reader, JsonTokenType.StartObject, name);
        while (ReadField(ref reader) is { } field)
        {
            switch (field)
            {
                case "dtype" when dtype is null:
                    Expect(ref reader, JsonTokenType.String, name);
                    dtype = reader.TryGetDType(out var known) ? known : throw Errors.UnknownDType(name, reader.GetString()!);
                    break;
                case "shape" when shape is null:
                    shape = ReadSizes(ref reader, name, limits.MaxRank);
                    break;
                case "data_offsets" when offsets is null:
                    offsets = ReadOffsets(ref reader, name);
                    break;
                case "dtype" or "shape" or "data_offsets":
                    throw Errors.DuplicateHeaderField(name, field, sizeof(ulong) + reader.TokenStartIndex);
                default:
                    reader.Read();
                    reader.Skip();
                    break;
            }
        }

        return Validate(name, dtype, shape, offsets, dataStart);
    }

    private static TensorInfo Validate(string name, TensorDType? dtype, ImmutableArray<long>? sizes, (long Begin, long End)? offsets, long dataStart)
    {
        if (dtype is null || sizes is null || offsets is not { } bounds)
        {
            throw Errors.IncompleteHeaderEntry(name);
        }

        var shape = new TensorShape(sizes.Value);
        if (bounds.End < bounds.Begin || !shape.TryCountBytes(dtype.Value, out var bytes) || bytes != bounds.End - bounds.Begin)
        {
            throw Errors.SizeMismatch(name, dtype.Value, shape, bounds.Begin, bounds.End);
        }

        return new(name, dtype.Value, shape, new() { Extent = new(dataStart + bounds.Begin, bytes) });
    }

    private static ImmutableArray<long> ReadSizes(ref Utf8JsonReader reader, string tensor, int maxRank)
    {
        Expect(ref reader, JsonTokenType.StartArray, tensor);
        var rank = reader.CountItems();
        var sizes = new long[Math.Min(rank, maxRank)];
        for (var i = 0; i < sizes.Length; i++)
        {
            sizes[i] = ReadNumber(ref reader, tensor) ?? throw Errors.IncompleteHeaderEntry(tensor);
        }

        return ReadNumber(ref reader, tensor) is null ? ImmutableCollectionsMarshal.AsImmutableArray(sizes) : throw Errors.TooManyDimensions(tensor, maxRank);
    }

    private static (long Begin, long End) ReadOffsets(ref Utf8JsonReader reader, string tensor)
    {
        Expect(ref reader, JsonTokenType.StartArray, tensor);
        return ReadNumber(ref reader, tensor) is { } begin && ReadNumber(ref reader, tensor) is { } end && ReadNumber(ref reader, tensor) is null
            ? (begin, end)
            : throw Errors.IncompleteHeaderEntry(tensor);
    }

    // Null at the list's end.
    private static long? ReadNumber(ref Utf8JsonReader reader, string tensor)
    {
        reader.Read();
        return reader.TokenType == JsonTokenType.EndArray ? null
            : reader.TokenType == JsonTokenType.Number && reader.TryGetInt64(out var number) && number >= 0 ? number
            : throw Errors.NotAWholeNumber(tensor, sizeof(ulong) + reader.TokenStartIndex);
    }

    private static ImmutableSortedDictionary<string, string> ReadMetadata(ref Utf8JsonReader reader, CheckpointLimits limits)
    {
        var metadata = CheckpointValues.NoMetadata.ToBuilder();
        Expect(ref reader, JsonTokenType.StartObject, null);
        while (ReadName(ref reader) is { } key)
        {
            if (metadata.Count == limits.MaxValues)
            {
                throw Errors.LimitExceeded("the texts of the metadata", limits.MaxValues + 1L, limits.MaxValues, nameof(limits.MaxValues));
            }

            reader.Read();
            if (reader.TokenType != JsonTokenType.String || !metadata.TryAdd(key, reader.GetString()!))
            {
                throw Errors.BadMetadata(key, sizeof(ulong) + reader.TokenStartIndex);
            }
        }

        return metadata.ToImmutable();
    }

    private static string? ReadName(ref Utf8JsonReader reader) =>
        reader.Read() && reader.TokenType == JsonTokenType.PropertyName ? reader.GetString() : null;

    // Empty for a field that the format does not have.
    private static string? ReadField(ref Utf8JsonReader reader) =>
        !reader.Read() || reader.TokenType != JsonTokenType.PropertyName ? null
        : reader.ValueTextEquals("dtype"u8) ? "dtype"
        : reader.ValueTextEquals("shape"u8) ? "shape"
        : reader.ValueTextEquals("data_offsets"u8) ? "data_offsets"
        : "";

    private static void Expect(ref Utf8JsonReader reader, JsonTokenType type, string? tensor)
    {
        if (!reader.Read() || reader.TokenType != type)
        {
            throw Errors.UnexpectedJson(type, reader.TokenType, sizeof(ulong) + reader.TokenStartIndex, tensor);
        }
    }
}
