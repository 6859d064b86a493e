using System.Collections.Immutable;
using System.Globalization;
using System.Text.Json;
using System.Text.Json.Serialization;
using System.Text.Unicode;

namespace CloudShards.Formats;

public sealed partial record ShardManifest
{
    /// <summary>Reads a manifest and checks that it is consistent.</summary>
    /// <param name="utf8">The document.</param>
    /// <param name="limits">Bounds on what it may hold.</param>
    /// <exception cref="CheckpointFormatException">It is not a manifest of this version, or contradicts itself.</exception>
    public static ShardManifest Parse(ReadOnlySpan<byte> utf8, CheckpointLimits? limits = null)
    {
        limits ??= CheckpointLimits.Default;
        if (utf8.Length > limits.MaxManifestBytes)
        {
            throw Errors.LimitExceeded("the manifest's bytes", utf8.Length, limits.MaxManifestBytes, nameof(limits.MaxManifestBytes));
        }

        if (!Utf8.IsValid(utf8))
        {
            throw Errors.ManifestNotJson("it is not UTF-8");
        }

        try
        {
            CheckSchema(utf8);
            var manifest = JsonSerializer.Deserialize(utf8, ManifestJson.Default.ShardManifest) ?? throw Errors.ManifestNotJson("it is `null`");
            manifest.Validate(limits);
            return manifest;
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            throw Errors.ManifestNotJson(e.Message, e);
        }
    }

    /// <summary>The document in its one canonical form: the bytes that its digest is over.</summary>
    public byte[] ToUtf8() => JsonSerializer.SerializeToUtf8Bytes(this, ManifestJson.Default.ShardManifest);

    // A later version may differ in all that follows its schema, which every version writes first.
    private static void CheckSchema(ReadOnlySpan<byte> utf8)
    {
        var reader = new Utf8JsonReader(utf8);
        if (reader.Read() && reader.Read() && reader.TokenType == JsonTokenType.PropertyName && reader.ValueTextEquals("schema"u8)
            && reader.Read() && reader.TokenType == JsonTokenType.String && !reader.ValueTextEquals(CurrentSchema))
        {
            throw Errors.UnknownSchema(reader.GetString()!);
        }
    }

    private void Validate(CheckpointLimits limits)
    {
        if (Schema != CurrentSchema)
        {
            throw Errors.UnknownSchema(Schema);
        }

        if (!CheckpointName.IsValid(Name))
        {
            throw Errors.ManifestInconsistent($"its name `{Name}` is not a checkpoint name");
        }

        if (ChunkBytes <= 0)
        {
            throw Errors.ManifestInconsistent($"`chunkBytes` is {ChunkBytes}, expected a positive number");
        }

        if (Values.ValueKind != JsonValueKind.Object)
        {
            throw Errors.ManifestInconsistent("`values` is not an object");
        }

        if (Tensors.IsDefault || Source.IsDefault || Source.Any(file => file is null or { Bytes: < 0 }))
        {
            throw Errors.ManifestInconsistent("`tensors` and `source` must be lists of objects, and a file has no fewer than 0 bytes");
        }

        if (Tensors.Length > limits.MaxTensors)
        {
            throw Errors.LimitExceeded("the number of tensors", Tensors.Length, limits.MaxTensors, nameof(limits.MaxTensors));
        }

        var names = new HashSet<string>(Tensors.Length, StringComparer.Ordinal);
        foreach (var tensor in Tensors)
        {
            Validate(tensor, names, limits);
        }

        ValidatePacks(names);
    }

    private void Validate(ShardedTensor? tensor, HashSet<string> names, CheckpointLimits limits)
    {
        if (tensor is null)
        {
            throw Errors.ManifestInconsistent("an item of `tensors` is `null`");
        }

        if (!names.Add(tensor.Name))
        {
            throw Errors.NameCollision(tensor.Name, "tensors");
        }

        if (tensor.Shape.Rank > limits.MaxRank)
        {
            throw Errors.TooManyDimensions(tensor.Name, limits.MaxRank);
        }

        if (!tensor.Shape.TryCountBytes(tensor.DType, out var bytes) || bytes != tensor.Bytes)
        {
            throw Errors.ManifestInconsistent($"it has {tensor.Bytes} bytes for {tensor.DType.Name()} {tensor.Shape}", tensor.Name);
        }

        var chunks = tensor.Bytes == 0 ? 0 : ((tensor.Bytes - 1) / ChunkBytes) + 1;
        if (tensor.Chunks.IsDefault || tensor.Chunks.Length != chunks)
        {
            throw Errors.ManifestInconsistent(
                $"it has {(tensor.Chunks.IsDefault ? 0 : tensor.Chunks.Length)} chunk sums, expected {chunks}", tensor.Name);
        }
    }

    private void ValidatePacks(HashSet<string> names)
    {
        if (Packs.IsDefaultOrEmpty)
        {
            return;
        }

        var bytesOf = Tensors.ToDictionary(tensor => tensor.Name, tensor => tensor.Bytes, StringComparer.Ordinal);
        foreach (var pack in Packs)
        {
            if (pack is null or { Bytes: < 0 } or { Tensors.IsDefault: true } || pack.Tensors.Contains(null!))
            {
                throw Errors.ManifestInconsistent("an item of `packs` is not a pack");
            }

            foreach (var packed in pack.Tensors)
            {
                if (!names.Contains(packed.Name) || !new ByteRange(packed.Offset, bytesOf[packed.Name]).LiesWithin(pack.Bytes))
                {
                    throw Errors.ManifestInconsistent($"the pack {pack.Digest} cannot hold it at byte {packed.Offset}", packed.Name);
                }
            }
        }
    }
}

/// <summary>The JSON of manifests and tags.</summary>
/// <remarks>
/// It is written by the default encoder, which escapes all but ASCII: others consult tables of printable characters that change with
/// Unicode versions, and with them a manifest's digest would change.
/// </remarks>
[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase,
    GenerationMode = JsonSourceGenerationMode.Metadata,
    AllowDuplicateProperties = false,
    RespectNullableAnnotations = true,
    RespectRequiredConstructorParameters = true,
    Converters = [typeof(DigestJson), typeof(DTypeJson), typeof(ShapeJson), typeof(ChunkSumsJson), typeof(MetadataJson)])]
[JsonSerializable(typeof(ShardManifest))]
[JsonSerializable(typeof(ShardTag))]
internal sealed partial class ManifestJson : JsonSerializerContext;

internal sealed class DigestJson : JsonConverter<Digest>
{
    public override Digest Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options) =>
        Digest.TryParse(reader.GetString(), out var digest) ? digest : throw new JsonException("not a digest");

    public override void Write(Utf8JsonWriter writer, Digest value, JsonSerializerOptions options) => writer.WriteStringValue(value.ToString());
}

internal sealed class DTypeJson : JsonConverter<TensorDType>
{
    public override TensorDType Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options) =>
        reader.GetString() is { } name && TensorDTypeExtensions.TryParse(name, out var dtype) ? dtype : throw new JsonException("not a dtype");

    public override void Write(Utf8JsonWriter writer, TensorDType value, JsonSerializerOptions options) => writer.WriteStringValue(value.Name());
}

internal sealed class ShapeJson : JsonConverter<TensorShape>
{
    public override TensorShape Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options)
    {
        if (reader.TokenType != JsonTokenType.StartArray)
        {
            throw new JsonException("a shape is a list of sizes");
        }

        var sizes = ImmutableArray.CreateBuilder<long>(4);
        while (reader.Read() && reader.TokenType != JsonTokenType.EndArray)
        {
            if (reader.TokenType != JsonTokenType.Number || !reader.TryGetInt64(out var size) || size < 0)
            {
                throw new JsonException("a size is a whole number from 0 on");
            }

            sizes.Add(size);
        }

        return new(sizes.DrainToImmutable());
    }

    public override void Write(Utf8JsonWriter writer, TensorShape value, JsonSerializerOptions options)
    {
        writer.WriteStartArray();
        foreach (var size in value)
        {
            writer.WriteNumberValue(size);
        }

        writer.WriteEndArray();
    }
}

/// <summary>Chunk sums are texts of 16 hex digits: a JSON number holds only 53 bits in many readers.</summary>
internal sealed class ChunkSumsJson : JsonConverter<ImmutableArray<ulong>>
{
    private const int HexDigits = 16;

    public override ImmutableArray<ulong> Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options)
    {
        if (reader.TokenType != JsonTokenType.StartArray)
        {
            throw new JsonException("chunks is a list of sums");
        }

        var sums = ImmutableArray.CreateBuilder<ulong>(1);
        while (reader.Read() && reader.TokenType != JsonTokenType.EndArray)
        {
            if (reader.TokenType != JsonTokenType.String || reader.HasValueSequence || reader.ValueSpan.Length != HexDigits
                || reader.ValueSpan.ContainsAnyInRange((byte)'A', (byte)'F')
                || !ulong.TryParse(reader.ValueSpan, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out var sum))
            {
                throw new JsonException("a chunk sum is a text of 16 lower-case hex digits");
            }

            sums.Add(sum);
        }

        return sums.DrainToImmutable();
    }

    public override void Write(Utf8JsonWriter writer, ImmutableArray<ulong> value, JsonSerializerOptions options)
    {
        Span<byte> digits = stackalloc byte[HexDigits];
        writer.WriteStartArray();
        foreach (var sum in value)
        {
            sum.TryFormat(digits, out _, "x16", CultureInfo.InvariantCulture);
            writer.WriteStringValue(digits);
        }

        writer.WriteEndArray();
    }
}

/// <summary>Texts by name, always in ordinal order: the serializer's own comparer is that of the reader's culture.</summary>
internal sealed class MetadataJson : JsonConverter<ImmutableSortedDictionary<string, string>>
{
    public override ImmutableSortedDictionary<string, string> Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options)
    {
        if (reader.TokenType != JsonTokenType.StartObject)
        {
            throw new JsonException("metadata is an object");
        }

        var metadata = CheckpointValues.NoMetadata.ToBuilder();
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            var name = reader.GetString()!;
            if (!reader.Read() || reader.TokenType != JsonTokenType.String || !metadata.TryAdd(name, reader.GetString()!))
            {
                throw new JsonException("metadata has one text for each name");
            }
        }

        return metadata.ToImmutable();
    }

    public override void Write(Utf8JsonWriter writer, ImmutableSortedDictionary<string, string> value, JsonSerializerOptions options)
    {
        writer.WriteStartObject();
        foreach (var (name, text) in value.WithComparers(StringComparer.Ordinal))
        {
            writer.WriteString(name, text);
        }

        writer.WriteEndObject();
    }
}
