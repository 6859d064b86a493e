using System.Collections.Concurrent;
using System.Globalization;
using CloudShards.Formats;

namespace CloudShards.Benchmarks.Contenders;

/// <summary>A dimension of a matrix.</summary>
internal enum Dimension
{
    Rows,
    Columns,
}

/// <summary>What a rank of eight wants of every matrix.</summary>
internal static class RankSlices
{
    private const int Ranks = 8;
    private const int Rank = 3;

    public static List<TensorSlice> Of(ShardedCheckpoint checkpoint, Dimension dimension) =>
        [.. checkpoint.Tensors.Where(tensor => tensor.Shape.Rank == 2).Select(tensor => Of(tensor, dimension))];

    /// <summary>Memory for each slice, by the tensor's name.</summary>
    public static Dictionary<string, NativeBytes> MemoryFor(IEnumerable<TensorSlice> slices) =>
        slices.ToDictionary(slice => slice.Tensor.Name, slice => new NativeBytes(slice.Bytes), StringComparer.Ordinal);

    public static List<ShardRead> ReadsOf(IEnumerable<TensorSlice> slices, Dictionary<string, NativeBytes> memory) =>
        [.. from slice in slices from cut in memory[slice.Tensor.Name].Cut() select new ShardRead(slice.Tensor, cut.Offset, cut.Window, slice)];

    private static TensorSlice Of(ShardedTensor tensor, Dimension dimension)
    {
        var size = (int)tensor.Shape[dimension == Dimension.Rows ? 0 : 1];
        var part = (size * Rank / Ranks)..(size * (Rank + 1) / Ranks);
        return TensorSlice.Of(tensor, dimension == Dimension.Rows ? [part] : [Range.All, part]);
    }
}

/// <summary>The SDK: an eighth of every matrix.</summary>
internal sealed class SdkSlices(Dimension dimension) : IContender
{
    public string Name => $"SDK, 1/8 of the {dimension.ToString().ToLowerInvariant()}";

    public async Task<Job> PrepareAsync(Arena arena, Traffic traffic, CancellationToken cancellationToken)
    {
        var checkpoint = await arena.OpenAsync(traffic, cancellationToken);
        var slices = RankSlices.Of(checkpoint, dimension);
        var memory = RankSlices.MemoryFor(slices);
        var reads = RankSlices.ReadsOf(slices, memory);
        var plan = checkpoint.Plan(slices);
        return Job.Of(memory, token => checkpoint.ReadAllAsync(reads, null, token)) with
        {
            Note = string.Create(
                CultureInfo.InvariantCulture,
                $"Plan() said: {plan.Requests:N0} requests, {plan.Bytes / 1e6:N1} MB, of which {plan.OverReadBytes / 1e6:N1} MB are not wanted"),
        };
    }
}

/// <summary>
/// The limit of slices: the ranges that the SDK asks for, by plain HTTP into one buffer for each that is read at once. Nothing is picked out
/// of them; the memory of the slices is there, so that what is beside it can be compared.
/// </summary>
internal sealed class PlainSlices(Dimension dimension) : IContender
{
    public string Name => $"plain HTTP, the ranges of 1/8 of the {dimension.ToString().ToLowerInvariant()}";

    public async Task<Job> PrepareAsync(Arena arena, Traffic traffic, CancellationToken cancellationToken)
    {
        var options = new ShardedCheckpointOptions();
        var asked = new AskedRanges(new BlobShardStore(arena.Container(Arena.Shards, traffic)));
        await using var checkpoint = await ShardedCheckpoint.OpenFromAsync(
            asked, arena.Reference, options with { Verification = ShardVerification.None, MaxConcurrency = 1 }, cancellationToken);
        var slices = RankSlices.Of(checkpoint, dimension);
        var memory = RankSlices.MemoryFor(slices);
        await checkpoint.ReadAllAsync(RankSlices.ReadsOf(slices, memory), null, cancellationToken);

        var ranges = asked.Ranges.Select(range => (Address: arena.Account.AddressOf(Arena.Shards, range.Blob), range.Offset, range.Length)).ToList();
        var buffers = new ConcurrentBag<NativeBytes>(
            Enumerable.Range(0, options.MaxConcurrency).Select(_ => new NativeBytes(ranges.Max(range => range.Length))));
        var http = new HttpClient(traffic, disposeHandler: false);
        return Job.Of(memory, token =>
        {
            var parallel = new ParallelOptions { MaxDegreeOfParallelism = options.MaxConcurrency, CancellationToken = token };
            return Parallel.ForEachAsync(ranges, parallel, async (range, stop) =>
            {
                buffers.TryTake(out var buffer);
                await http.ReadAsync(range.Address, range.Offset, buffer!.Slice(0, range.Length), stop);
                buffers.Add(buffer);
            });
        });
    }
}
