using CloudShards.Formats;

namespace CloudShards.Sharding;

/// <summary>How a worker shards.</summary>
public sealed record ShardingOptions
{
    /// <summary>
    /// Bytes of buffers that a worker may use, whatever the checkpoint's size. Default 84 MiB, for four shards at once; at least 36 MiB. The process needs
    /// about 100 MiB beside it, and for each tensor of a checkpoint about half a kilobyte while it plans and publishes it.
    /// </summary>
    public int MemoryBudgetBytes { get; init; } = 84 << 20;

    /// <summary>Bytes that one batch may read, about a minute of work. A larger tensor is a batch of its own. Default 4 GiB.</summary>
    public long MaxBatchBytes { get; init; } = 4L << 30;

    /// <summary>Shards that one batch may write; those of a pack, up to 1,024, stay together. Default 4,096.</summary>
    public int MaxBatchShards { get; init; } = 4096;

    /// <summary>
    /// Bytes of a shard that each chunk sum covers. Default 8 MiB; 64 KiB to 64 MiB, for each reader has buffers of one chunk. It is part of the manifest,
    /// and so of its digest.
    /// </summary>
    public int ChunkBytes { get; init; } = ShardManifest.DefaultChunkBytes;

    /// <summary>
    /// Bytes of the largest shard that is also repeated in a pack, so that a reader of the whole checkpoint asks once for many. Default 64 KiB, which is also
    /// the most; 0 makes no packs. Small shards are then stored twice. It is part of the manifest, and so of its digest.
    /// </summary>
    public int MaxPackedBytes { get; init; } = 64 << 10;

    /// <summary>
    /// Whether the storage service copies the bytes of shards above 16 MiB by itself, where it can: they are read once to be hashed, and do not travel up
    /// from the worker. Default true.
    /// </summary>
    public bool CopyByService { get; init; } = true;

    /// <summary>How long a shard that no manifest names is left alone by the collector of garbage. Default 7 days; at least 2 (FORMAT.md, "Garbage").</summary>
    public TimeSpan GarbageGrace { get; init; } = TimeSpan.FromDays(7);

    /// <summary>
    /// How long no file of a set may have been replaced before it is sharded anew, where other files are still those of the version before: somebody may
    /// be replacing them one after the other. A set that is new, or of which every file was replaced, does not wait. Default 2 minutes; at most a day.
    /// </summary>
    public TimeSpan SetQuietPeriod { get; init; } = TimeSpan.FromMinutes(2);

    /// <summary>Bounds on what an uploaded file may ask for.</summary>
    public CheckpointLimits Limits { get; init; } = CheckpointLimits.Default;

    private const int MinMemoryBudgetBytes = 36 << 20;
    private const int MinChunkBytes = 64 << 10;
    private const int MostPackedBytes = 64 << 10;
    private static readonly TimeSpan MaxSetQuietPeriod = TimeSpan.FromDays(1);

    /// <summary>What is wrong with these options, each as the option's name and a sentence; empty where nothing is.</summary>
    public IEnumerable<string> FindProblems()
    {
        (bool IsBad, string Problem)[] rules =
        [
            (MemoryBudgetBytes < MinMemoryBudgetBytes, $"{nameof(MemoryBudgetBytes)}` is {MemoryBudgetBytes}; it is at least {MinMemoryBudgetBytes} (36 MiB)."),
            (MaxBatchBytes < 1, $"{nameof(MaxBatchBytes)}` is {MaxBatchBytes}; it is at least 1."),
            (MaxBatchShards < 1, $"{nameof(MaxBatchShards)}` is {MaxBatchShards}; it is at least 1."),
            (ChunkBytes < MinChunkBytes, $"{nameof(ChunkBytes)}` is {ChunkBytes}; it is at least {MinChunkBytes} (64 KiB)."),
            (
                ChunkBytes > CheckpointLimits.Default.MaxChunkBytes,
                $"{nameof(ChunkBytes)}` is {ChunkBytes}; it is at most {CheckpointLimits.Default.MaxChunkBytes} (64 MiB)."),
            (MaxPackedBytes is < 0 or > MostPackedBytes, $"{nameof(MaxPackedBytes)}` is {MaxPackedBytes}; it is 0 to {MostPackedBytes} (64 KiB)."),
            (SetQuietPeriod < TimeSpan.Zero || SetQuietPeriod > MaxSetQuietPeriod, $"{nameof(SetQuietPeriod)}` is {SetQuietPeriod}; it is 0 to {MaxSetQuietPeriod}."),
            (GarbageGrace < ShardGarbage.MinGrace, $"{nameof(GarbageGrace)}` is {GarbageGrace}; it is at least {ShardGarbage.MinGrace}."),
        ];
        return rules.Where(rule => rule.IsBad).Select(rule => rule.Problem);
    }

    /// <summary>A tensor of up to this many bytes is read once, into memory, and written in one request; a larger one block by block. 16 MiB.</summary>
    public const int BufferedBytes = TensorGather.WindowBytes;

    /// <summary>A shard of at least this many bytes is copied by the service, where it can: whatever the worker would have to read twice.</summary>
    public const int CopiedBytes = BufferedBytes + 1;

    internal const int ViewBlockBytes = 4 << 20;

    internal BatchBounds Bounds => new(MaxBatchBytes, MaxBatchShards, ChunkBytes, MaxPackedBytes);

    // Each lane has a buffer; the one that reads views has a window and a block beside it.
    internal int Lanes => Math.Max(1, (MemoryBudgetBytes - BufferedBytes - ViewBlockBytes) / BufferedBytes);
}
