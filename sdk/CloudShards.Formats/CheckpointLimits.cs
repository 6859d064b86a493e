namespace CloudShards.Formats;

/// <summary>
/// Bounds on what a file may ask of its reader. The defaults admit the largest published checkpoints (232,670 tensors) and
/// keep the memory of a parse within a small multiple of the header's size, whatever numbers a hostile file holds.
/// </summary>
public sealed record CheckpointLimits
{
    /// <summary>The defaults.</summary>
    public static CheckpointLimits Default { get; } = new();

    /// <summary>Bytes of a safetensors header. The format's own bound, 100,000,000.</summary>
    public int MaxHeaderBytes { get; init; } = 100_000_000;

    /// <summary>Bytes of a pickle. Real ones take 100 to 200 bytes a tensor.</summary>
    public int MaxPickleBytes { get; init; } = 64 << 20;

    /// <summary>
    /// Bytes of memory that a pickle's objects, and the list of what they hold, may take beside the pickle. Default 256 MiB. Real ones take about 900 for a
    /// tensor with a long name.
    /// </summary>
    public long MaxPickleMemory { get; init; } = 256L << 20;

    /// <summary>Bytes of memory that a pickle's objects may take for each of its bytes; 1 MiB is always allowed. Real ones take 2 to 15.</summary>
    public int MaxPickleGrowth { get; init; } = 64;

    /// <summary>Bytes of a zip's central directory. Real ones take about 70 bytes a tensor.</summary>
    public int MaxDirectoryBytes { get; init; } = 32 << 20;

    /// <summary>Bytes of a manifest. Real ones take 200 to 300 bytes a tensor.</summary>
    public int MaxManifestBytes { get; init; } = 256 << 20;

    /// <summary>Bytes of a shard that one chunk sum covers: a reader has a buffer of one chunk. Default 64 MiB.</summary>
    public int MaxChunkBytes { get; init; } = 64 << 20;

    /// <summary>Tensors in a checkpoint.</summary>
    public int MaxTensors { get; init; } = 1_000_000;

    /// <summary>Values that are not tensors (numbers, texts, lists of them) in a checkpoint, and the texts of its metadata.</summary>
    public int MaxValues { get; init; } = 1_000_000;

    /// <summary>Bytes of JSON that those values may take in the manifest.</summary>
    public int MaxValueBytes { get; init; } = 32 << 20;

    /// <summary>Dimensions of a tensor. PyTorch's own bound is 64.</summary>
    public int MaxRank { get; init; } = 64;

    /// <summary>Characters of a tensor's or value's name, dots included.</summary>
    public int MaxNameLength { get; init; } = 65_536;

    /// <summary>Characters of all names together: keys may be repeated in many of them. Real ones take 14 million for 232,670 tensors.</summary>
    public int MaxTotalNameLength { get; init; } = 48 << 20;

    /// <summary>Containers within containers.</summary>
    public int MaxDepth { get; init; } = 256;

    /// <summary>
    /// How many times the file's size its tensors may take when written out one by one: expanded and overlapping views repeat bytes.
    /// Tensors with the same bytes count once, and a file may always expand to 64 MiB. Likewise, how many
    /// bytes of JSON beyond 1 MiB the values of a pickle may take for each of its bytes, and four times how many tensors and values it may list: what is
    /// shared is repeated.
    /// </summary>
    public int MaxExpansion { get; init; } = 16;

    /// <summary>
    /// How many times the file's size may be read to gather its views into contiguous tensors, each read of elements that lie far apart counted as
    /// <see cref="TensorGather.MaxGap"/> bytes. 1 GiB is always allowed. A transposed tensor counts as passed over once for each <see cref="TensorGather.WindowBytes"/> of it.
    /// </summary>
    public int MaxGatherPasses { get; init; } = 64;
}
