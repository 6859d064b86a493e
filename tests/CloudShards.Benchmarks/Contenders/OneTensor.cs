using CloudShards.Formats;

namespace CloudShards.Benchmarks.Contenders;

/// <summary>The limit of one tensor: its shard's bytes, whose address and length are known, in one request.</summary>
internal sealed class PlainTensor : IContender
{
    /// <summary>The tensor that is wanted.</summary>
    public const string Wanted = "layer0_q";

    public string Name => "plain HTTP, one range";

    public async Task<Func<CancellationToken, Task>> PrepareAsync(Arena arena, Traffic traffic, CancellationToken cancellationToken)
    {
        await using var checkpoint = await arena.OpenAsync(traffic, cancellationToken);
        var memory = NativeBytes.For([checkpoint[Wanted]])[Wanted];
        var address = arena.AddressOf(Arena.Shards, StoreLayout.Shard(checkpoint[Wanted].Digest));
        var http = new HttpClient(traffic, disposeHandler: false);
        return token => http.ReadAsync(address, 0, memory, token);
    }
}

/// <summary>The SDK, which opens the manifest first.</summary>
internal sealed class SdkTensor : IContender
{
    public string Name => "SDK: open, then one tensor";

    public async Task<Func<CancellationToken, Task>> PrepareAsync(Arena arena, Traffic traffic, CancellationToken cancellationToken)
    {
        await using var known = await arena.OpenAsync(traffic, cancellationToken);
        var memory = NativeBytes.For([known[PlainTensor.Wanted]])[PlainTensor.Wanted];
        return async token =>
        {
            await using var checkpoint = await arena.OpenAsync(traffic, token);
            await checkpoint.ReadAsync(PlainTensor.Wanted, memory, token);
        };
    }
}

/// <summary>Without CloudShards: the whole file, for one tensor.</summary>
internal sealed class FileTensor : IContender
{
    public string Name => "download the file for one tensor";

    public async Task<Func<CancellationToken, Task>> PrepareAsync(Arena arena, Traffic traffic, CancellationToken cancellationToken)
    {
        await using var known = await arena.OpenAsync(traffic, cancellationToken);
        var memory = NativeBytes.For([known[PlainTensor.Wanted]]);
        return token => FileLoad.ReadAsync(arena, traffic, memory, token);
    }
}
