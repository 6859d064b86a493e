using CloudShards.Benchmarks.Contenders;

namespace CloudShards.Benchmarks;

/// <summary>Everything that can be measured.</summary>
internal static class Contests
{
    // Chunks of the smallest request that is tried: a request has whole chunks, and one at least.
    private const int SmallChunkBytes = 4 << 20;
    private static readonly int[] Concurrencies = [4, 8, 16, 32, 64];
    private static readonly int[] RequestMebibytes = [4, 8, 16];

    private static readonly IReadOnlyList<IContender> Process = [new Nothing()];

    public static IReadOnlyList<Contest> All { get; } =
    [
        new(
            "load",
            "Loading the whole model, beside the same bytes by plain HTTP, and beside what one does without CloudShards.",
            [
                new PlainLoad("plain HTTP ranges", new()),
                new SdkLoad("SDK, verified", new()),
                new SdkLoad("SDK, not verified", new() { Verification = ShardVerification.None }),
                new SdkLoad("SDK, SHA-256 verified", new() { Verification = ShardVerification.Digest }),
                new ModuleLoad(),
                new FileLoad(),
                new StreamLoad(),
            ],
            [
                new PlainLoad("plain HTTP ranges, memory not touched before", new()) { IsTouched = false },
                new SdkLoad("SDK, verified, memory not touched before", new()) { IsTouched = false },
            ],
            Process) { Mebibytes = 4096, Tensors = 300 },
        new(
            "cold",
            "Loading the whole model as the first thing that a process does, its code not yet compiled.",
            [
                new PlainLoad("plain HTTP ranges", new()),
                new SdkLoad("SDK, verified", new()),
                new SdkLoad("SDK, not verified", new() { Verification = ShardVerification.None }),
            ],
            Process) { Mebibytes = 4096, Tensors = 300, IsWarm = false },
        new(
            "small",
            "Loading tensors of 64 KiB from their shards and from packs, beside a plain GET of every shard.",
            [
                new PlainLoad("plain HTTP, every shard", new()),
                new SdkLoad("SDK, verified, no packs", new()) { IsPacked = false },
                new SdkLoad("SDK, verified, packs", new()),
            ],
            [new PlainPacks("plain HTTP ranges of the packs", new()), new SdkLoad("SDK, verified, packs", new())],
            Process) { Model = SyntheticModel.CreateSmall, Mebibytes = null, Tensors = 20_000, Shardings = [new(), new() { MaxPackedBytes = 0 }] },
        new(
            "slice",
            "An eighth of the columns, or of the rows, of every matrix, beside the same ranges and whole shards by plain HTTP.",
            [new PlainSlices(Dimension.Columns), new SdkSlices(Dimension.Columns), new PlainLoad("plain HTTP, whole shards", new())],
            [new PlainSlices(Dimension.Rows), new SdkSlices(Dimension.Rows)],
            Process) { Mebibytes = 4096, Tensors = 300 },
        new(
            "cache",
            "A start with an empty cache folder and with a full one, beside one without, and beside plain reads of the same files.",
            [new CachedLoad(CacheState.None), new CachedLoad(CacheState.Cold)],
            [new PlainFiles(), new CachedLoad(CacheState.Warm)],
            Process) { Mebibytes = 4096, Tensors = 300 },
        new(
            "first",
            $"From nothing to a small and a large tensor, {FirstTensors.Times} times, beside plain GETs of the manifest and the shards.",
            [new PlainFirst(), new SdkFirst(isByTag: false), new SdkFirst(isByTag: true)],
            Process) { Mebibytes = 4096, Tensors = 300 },
        new(
            "one",
            "One tensor of the model, beside its bytes by plain HTTP and beside downloading the file.",
            [new PlainTensor(), new SdkTensor(), new FileTensor()]),
        new(
            "concurrency",
            "Loading by many numbers and lengths of requests, each beside plain HTTP in the same number and length.",
            [.. Concurrencies.SelectMany(count => RequestMebibytes.Select(mebibytes => LargeHeat(count, mebibytes)))])
        {
            Tensors = 75,
            Shardings = [new() { ChunkBytes = SmallChunkBytes }],
        },
        new(
            "concurrency-small",
            "Loading tensors of 64 KiB by many numbers of requests, each beside plain GETs in the same number.",
            [.. Concurrencies.Select(SmallHeat)])
        {
            Model = SyntheticModel.CreateSmall,
            Mebibytes = null,
            Tensors = 20_000,
            Shardings = [new() { ChunkBytes = SmallChunkBytes }, new() { ChunkBytes = SmallChunkBytes, MaxPackedBytes = 0 }],
        },
        new(
            "latency",
            "Loading tensors of 64 KiB where each request waits 20 ms on its way, by many numbers of requests, each beside plain GETs in the same number.",
            [.. Concurrencies.Select(LatencyHeat)])
        {
            Model = SyntheticModel.CreateSmall,
            Mebibytes = null,
            Tensors = 4_000,
            Shardings = [new(), new() { MaxPackedBytes = 0 }],
            Latency = TimeSpan.FromMilliseconds(20),
        },
        new(
            "shard",
            "Sharding an uploaded file in Azurite, beside a bare loop that reads, hashes and writes.",
            [new BareSharding(), new PipelineSharding(), new RepeatedSharding()]) { IsReading = false },
        new(
            "large",
            "Sharding in Azurite by the service's own copies of large shards and without.",
            [new BareSharding(), new PipelineSharding(), new CopiedSharding()]) { IsReading = false, Shardings = [] },
        new(
            "many",
            "Sharding from Azurite into a folder, where many small files are no matter of an emulator.",
            [new FolderSharding()]) { IsReading = false, Shardings = [] },
    ];

    public static Contest Named(string name) => All.Single(contest => contest.Name == name);

    private static IReadOnlyList<IContender> LargeHeat(int count, int mebibytes)
    {
        var options = OptionsOf(count, mebibytes);
        return [new PlainLoad($"plain HTTP, {count} x {mebibytes} MiB", options), new SdkLoad($"SDK, {count} x {mebibytes} MiB", options)];
    }

    private static IReadOnlyList<IContender> SmallHeat(int count) =>
    [
        new PlainLoad($"plain HTTP, every shard, {count} at once", OptionsOf(count, 8)),
        new SdkLoad($"SDK, no packs, {count} at once", OptionsOf(count, 8)) { IsPacked = false },
        .. RequestMebibytes.Select(mebibytes => new SdkLoad($"SDK, packs, {count} x {mebibytes} MiB", OptionsOf(count, mebibytes))),
    ];

    private static IReadOnlyList<IContender> LatencyHeat(int count)
    {
        var options = new ShardedCheckpointOptions { MaxConcurrency = count };
        return
        [
            new PlainLoad($"plain HTTP, every shard, {count} at once", options),
            new SdkLoad($"SDK, no packs, {count} at once", options) { IsPacked = false },
            new SdkLoad($"SDK, packs, {count} at once", options),
        ];
    }

    // Bytes in flight are not to be what bounds the number.
    private static ShardedCheckpointOptions OptionsOf(int count, int mebibytes) => new()
    {
        MaxConcurrency = count,
        MaxRequestBytes = mebibytes << 20,
        MaxBytesInFlight = Math.Max(64L, (long)count * mebibytes) << 20,
    };
}
