using System.Buffers;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using System.Text.Unicode;

namespace CloudShards.Formats;

public sealed partial record ShardManifest
{
    /// <summary>How a manifest is written, for who writes it piece by piece.</summary>
    internal static JsonTypeInfo<ShardManifest> Json => ManifestJson.Default.ShardManifest;

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

    /// <summary>Writes what <see cref="ToUtf8"/> returns, piece by piece.</summary>
    public void WriteTo(IBufferWriter<byte> utf8)
    {
        using var writer = new Utf8JsonWriter(utf8);
        JsonSerializer.Serialize(writer, this, ManifestJson.Default.ShardManifest);
    }

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

        if (ChunkBytes > limits.MaxChunkBytes)
        {
            throw Errors.LimitExceeded("the bytes of a chunk", ChunkBytes, limits.MaxChunkBytes, nameof(limits.MaxChunkBytes));
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

        var byName = new Dictionary<string, ShardedTensor>(Tensors.Length, StringComparer.Ordinal);
        foreach (var tensor in Tensors)
        {
            Validate(tensor, byName, limits);
        }

        ValidatePacks(byName);
    }

    private void Validate(ShardedTensor? tensor, Dictionary<string, ShardedTensor> byName, CheckpointLimits limits)
    {
        if (tensor is null)
        {
            throw Errors.ManifestInconsistent("an item of `tensors` is `null`");
        }

        if (!byName.TryAdd(tensor.Name, tensor))
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

    private void ValidatePacks(Dictionary<string, ShardedTensor> byName)
    {
        foreach (var pack in Packs.IsDefault ? [] : Packs)
        {
            if (pack is null or { Bytes: < 0 } or { Tensors.IsDefault: true } || pack.Tensors.Contains(null!))
            {
                throw Errors.ManifestInconsistent("an item of `packs` is not a pack");
            }

            foreach (var packed in pack.Tensors)
            {
                if (!byName.TryGetValue(packed.Name, out var tensor) || !new ByteRange(packed.Offset, tensor.Bytes).LiesWithin(pack.Bytes))
                {
                    throw Errors.ManifestInconsistent($"the pack {pack.Digest} cannot hold it at byte {packed.Offset}", packed.Name);
                }
            }
        }
    }
}
