namespace CloudShards.Benchmarks.Contenders;

/// <summary>The limit of one tensor: its shard's bytes, whose address and length are known, in one request.</summary>
internal sealed class PlainTensor : IContender
{
    /// <summary>The tensor that is wanted.</summary>
    public const string Wanted = "layer0_q";

    public string Name => "plain HTTP, one range";

    public async Task<Job> PrepareAsync(Arena arena, Traffic traffic, CancellationToken cancellationToken)
    {
        await using var checkpoint = await arena.OpenAsync(traffic, cancellationToken);
        var memory = NativeBytes.For([checkpoint[Wanted]]);
        var (address, window) = (arena.AddressOf(checkpoint[Wanted]), memory[Wanted].Cut().Single().Window);
        var http = new HttpClient(traffic, disposeHandler: false);
        return Job.Of(memory, token => http.ReadAsync(address, 0, window, token));
    }
}

/// <summary>The SDK, which opens the manifest first.</summary>
internal sealed class SdkTensor : IContender
{
    public string Name => "SDK: open, then one tensor";

    public async Task<Job> PrepareAsync(Arena arena, Traffic traffic, CancellationToken cancellationToken)
    {
        await using var known = await arena.OpenAsync(traffic, cancellationToken);
        var memory = NativeBytes.For([known[PlainTensor.Wanted]]);
        return Job.Of(memory, async token =>
        {
            await using var checkpoint = await arena.OpenAsync(traffic, token);
            await checkpoint.ReadAllAsync(SdkLoad.ReadsOf(checkpoint, memory), null, token);
        });
    }
}

/// <summary>Without CloudShards: the whole file, for one tensor.</summary>
internal sealed class FileTensor : IContender
{
    public string Name => "DownloadToAsync the file for one tensor";

    public async Task<Job> PrepareAsync(Arena arena, Traffic traffic, CancellationToken cancellationToken)
    {
        await using var known = await arena.OpenAsync(traffic, cancellationToken);
        var memory = NativeBytes.For([known[PlainTensor.Wanted]]);
        return Job.Of(memory, token => FileLoad.ReadAsync(arena, traffic, memory, token));
    }
}
