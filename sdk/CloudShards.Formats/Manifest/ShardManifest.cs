using System.Collections.Immutable;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace CloudShards.Formats;

/// <summary>
/// The document that lists one checkpoint's tensors and the shards that hold them. FORMAT.md is its specification. The same
/// checkpoint under the same name always gives the same bytes, and so the same digest.
/// </summary>
public sealed partial record ShardManifest
{
    /// <summary>The value of <see cref="Schema"/> in this version.</summary>
    public const string CurrentSchema = "cloudshards/1";

    /// <summary>Bytes of a shard that one chunk sum covers, unless a writer says otherwise: 8 MiB.</summary>
    public const int DefaultChunkBytes = 8 << 20;

    /// <summary>The version of the format.</summary>
    [JsonRequired]
    public string Schema { get; init; } = CurrentSchema;

    /// <summary>The checkpoint's name.</summary>
    public required string Name { get; init; }

    /// <summary>The uploaded files, in the order of their tensors; empty for a checkpoint that was saved shard by shard.</summary>
    [JsonRequired]
    public ImmutableArray<ManifestSource> Source { get; init; } = [];

    /// <summary>Bytes of a shard that each of its chunk sums covers; the last chunk may be shorter.</summary>
    public required int ChunkBytes { get; init; }

    /// <summary>The tensors, in the checkpoint's order.</summary>
    public required ImmutableArray<ShardedTensor> Tensors { get; init; }

    /// <summary>Blobs that repeat small shards back to back. Optional to use: every tensor has a shard of its own as well.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingDefault)]
    public ImmutableArray<ManifestPack> Packs { get; init; }

    /// <summary>The source format's own texts.</summary>
    [JsonRequired]
    public ImmutableSortedDictionary<string, string> Metadata { get; init; } = CheckpointValues.NoMetadata;

    /// <summary>A JSON object of what the checkpoint holds beside tensors: numbers, texts, lists of them, by name.</summary>
    [JsonRequired]
    public JsonElement Values { get; init; } = CheckpointValues.None;
}

/// <summary>A file that a checkpoint came from.</summary>
/// <param name="Path">Its path in the uploads container.</param>
/// <param name="Bytes">Its length.</param>
/// <param name="Format">Its format, as in <c>torch-zip</c>.</param>
public sealed record ManifestSource(string Path, long Bytes, string Format);

/// <summary>A tensor and the shard that holds its bytes: contiguous, row-major, little-endian.</summary>
/// <param name="Name">Its name; unique in a manifest.</param>
/// <param name="DType">The type of its elements.</param>
/// <param name="Shape">Its sizes.</param>
/// <param name="Bytes">Bytes of the shard.</param>
/// <param name="Digest">The SHA-256 of the shard, which is also its address.</param>
/// <param name="Chunks">The XXH3 (64 bits, seed 0) of each chunk of the shard.</param>
public sealed record ShardedTensor(
    string Name,
    [property: JsonPropertyName("dtype")] TensorDType DType,
    TensorShape Shape,
    long Bytes,
    Digest Digest,
    ImmutableArray<ulong> Chunks);

/// <summary>A blob that repeats small shards back to back.</summary>
/// <param name="Digest">The SHA-256 of the pack, which is also its address.</param>
/// <param name="Bytes">Bytes of the pack.</param>
/// <param name="Tensors">The tensors in it, by offset.</param>
public sealed record ManifestPack(Digest Digest, long Bytes, ImmutableArray<PackedTensor> Tensors);

/// <summary>A tensor's place in a pack.</summary>
/// <param name="Name">The tensor.</param>
/// <param name="Offset">The first of its bytes in the pack.</param>
public sealed record PackedTensor(string Name, long Offset);
