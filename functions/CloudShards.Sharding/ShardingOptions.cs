using CloudShards.Formats;

namespace CloudShards.Sharding;

/// <summary>How a worker shards.</summary>
public sealed record ShardingOptions
{
    /// <summary>
    /// Bytes of buffers that a worker may use, whatever the checkpoint's size. Default 84 MiB, for five shards at once, or one of up to 80 MiB; at least 20 MiB.
    /// A shard that finds no room in them is read twice where the service does not copy it. The process needs about 100 MiB beside them, and for each tensor
    /// of a checkpoint about half a kilobyte while it plans and publishes it.
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

    private const int MinMemoryBudgetBytes = 20 << 20;
    private const int MinChunkBytes = 64 << 10;
    private const int MostPackedBytes = 64 << 10;
    private static readonly TimeSpan MaxSetQuietPeriod = TimeSpan.FromDays(1);

    /// <summary>What is wrong with these options, each as the option's name and a sentence; empty where nothing is.</summary>
    public IEnumerable<string> FindProblems()
    {
        (bool IsBad, string Problem)[] rules =
        [
            (MemoryBudgetBytes < MinMemoryBudgetBytes, $"{nameof(MemoryBudgetBytes)}` is {MemoryBudgetBytes}; it is at least {MinMemoryBudgetBytes} (20 MiB)."),
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

    /// <summary>Bytes of a worker's buffers for each shard that it works on at once: 16 MiB. A larger shard has more of them, where there are so many.</summary>
    public const int BufferedBytes = 16 << 20;

    /// <summary>A shard of at least this many bytes is copied by the service, where it can: it would not travel up in one request.</summary>
    public const int CopiedBytes = BufferedBytes + 1;

    internal const int ViewBlockBytes = 4 << 20;

    internal BatchBounds Bounds => new(MaxBatchBytes, MaxBatchShards, ChunkBytes, MaxPackedBytes);

    // One lane at a time reads views, and has a block beside its buffer.
    internal int Lanes => (MemoryBudgetBytes - ViewBlockBytes) / BufferedBytes;

    internal int BufferBytes => Lanes * BufferedBytes;
}
