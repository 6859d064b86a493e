namespace CloudShards.Benchmarks.Contenders;

/// <summary>A service's start by the SDK: it opens the checkpoint and loads it, through a cache folder of its own or without one.</summary>
/// <param name="cache">What it finds in the cache.</param>
internal sealed class CachedLoad(CacheState cache) : IContender
{
    public string Name => cache switch
    {
        CacheState.None => "SDK start, no cache",
        CacheState.Cold => "SDK start, cold cache: it is filled",
        _ => "SDK start, warm cache",
    };

    public async Task<Job> PrepareAsync(Arena arena, Traffic traffic, CancellationToken cancellationToken)
    {
        var options = cache == CacheState.None ? new() : CacheOptions(arena);
        await using var known = await arena.OpenAsync(traffic, cancellationToken);
        var memory = NativeBytes.For(known.Tensors);
        async Task LoadAsync(CancellationToken token)
        {
            await using var checkpoint = await arena.OpenAsync(traffic, options, token);
            await checkpoint.ReadAllAsync(SdkLoad.ReadsOf(checkpoint, memory), null, token);
        }

        if (cache == CacheState.Warm)
        {
            await LoadAsync(cancellationToken);
        }

        return Job.Of(memory, LoadAsync);
    }

    /// <summary>The cache of one contender.</summary>
    public static ShardedCheckpointOptions CacheOptions(Arena arena) => new() { CacheFolder = Path.Combine(arena.Scratch, "cache") };
}

/// <summary>What a cache holds when a contender begins.</summary>
internal enum CacheState
{
    /// <summary>There is no cache.</summary>
    None,

    /// <summary>Nothing.</summary>
    Cold,

    /// <summary>Everything.</summary>
    Warm,
}

/// <summary>The limit of a warm cache: the bytes of its files, as many ranges at once as the SDK reads.</summary>
internal sealed class PlainFiles : IContender
{
    private const int ReadBytes = 8 << 20;

    public string Name => "plain reads of the cache's files";

    public async Task<Job> PrepareAsync(Arena arena, Traffic traffic, CancellationToken cancellationToken)
    {
        var options = CachedLoad.CacheOptions(arena);
        await using var checkpoint = await arena.OpenAsync(traffic, options, cancellationToken);
        var memory = NativeBytes.For(checkpoint.Tensors);
        await checkpoint.ReadAllAsync(SdkLoad.ReadsOf(checkpoint, memory), null, cancellationToken);
        var reads = (
            from tensor in checkpoint.Tensors
            let path = Path.Combine(options.CacheFolder!, "sha256", tensor.Digest.Hex[..2], tensor.Digest.Hex)
            from cut in memory[tensor.Name].Cut(ReadBytes)
            select (Path: path, cut.Offset, cut.Window)).ToList();
        var parallel = new ParallelOptions { MaxDegreeOfParallelism = options.MaxConcurrency };
        return Job.Of(memory, token => Task.Run(() => Parallel.ForEach(reads, parallel, read => Fill(read.Path, read.Offset, read.Window.Span)), token));
    }

    private static void Fill(string path, long offset, Span<byte> destination)
    {
        using var file = File.OpenHandle(path);
        for (var filled = 0; filled < destination.Length;)
        {
            var read = RandomAccess.Read(file, destination[filled..], offset + filled);
            filled += read > 0 ? read : throw new EndOfStreamException($"`{path}` is too short.");
        }
    }
}
