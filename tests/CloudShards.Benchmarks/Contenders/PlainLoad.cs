using CloudShards.Formats;

namespace CloudShards.Benchmarks.Contenders;

/// <summary>The limit of loading: the shards' bytes by plain HTTP into native memory, in ranges of 8 MiB, 8 at once.</summary>
internal sealed class PlainLoad : IContender
{
    private const int RangeBytes = 8 << 20;
    private const int Concurrency = 8;

    public string Name => "plain HTTP ranges";

    public async Task<Func<CancellationToken, Task>> PrepareAsync(Arena arena, Traffic traffic, CancellationToken cancellationToken)
    {
        await using var checkpoint = await arena.OpenAsync(traffic, cancellationToken);
        var memory = NativeBytes.For(checkpoint.Tensors);
        var http = new HttpClient(traffic, disposeHandler: false);
        var ranges = (
            from tensor in checkpoint.Tensors
            let address = arena.AddressOf(Arena.Shards, StoreLayout.Shard(tensor.Digest))
            from i in Enumerable.Range(0, (int)((tensor.Bytes + RangeBytes - 1) / RangeBytes))
            let offset = i * RangeBytes
            select (Address: address, Offset: offset, Window: memory[tensor.Name].Slice(offset, (int)Math.Min(RangeBytes, tensor.Bytes - offset)))).ToList();
        return token => Parallel.ForEachAsync(
            ranges,
            new ParallelOptions { MaxDegreeOfParallelism = Concurrency, CancellationToken = token },
            async (range, stop) => await http.ReadAsync(range.Address, range.Offset, range.Window, stop));
    }
}
