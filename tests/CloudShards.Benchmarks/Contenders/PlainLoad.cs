namespace CloudShards.Benchmarks.Contenders;

/// <summary>The limit of loading: the shards' bytes by plain HTTP into native memory, in ranges as long and as many at once as the SDK's options say.</summary>
internal sealed class PlainLoad(string name, ShardedCheckpointOptions options) : IContender
{
    public string Name => name;

    /// <summary>Whether the memory was touched before.</summary>
    public bool IsTouched { get; init; } = true;

    public async Task<Job> PrepareAsync(Arena arena, Traffic traffic, CancellationToken cancellationToken)
    {
        await using var checkpoint = await arena.OpenAsync(traffic, cancellationToken);
        var memory = NativeBytes.For(checkpoint.Tensors, IsTouched);
        var http = new HttpClient(traffic, disposeHandler: false);
        var ranges = checkpoint.Tensors
            .SelectMany(tensor => PlainHttp.Ranges(arena.AddressOf(tensor), memory[tensor.Name], checkpoint.Manifest, options))
            .ToList();
        return Job.Of(memory, token => http.ReadAllAsync(ranges, options, token));
    }
}
