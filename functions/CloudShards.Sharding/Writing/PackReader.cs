using System.Collections.Immutable;
using CloudShards.Formats;

namespace CloudShards.Sharding;

/// <summary>Brings the small shards of a pack into one buffer, back to back.</summary>
/// <param name="sources">The uploaded files, in the plan's order.</param>
internal sealed class PackReader(ImmutableArray<ICheckpointSource> sources)
{
    /// <summary>The most bytes between two small shards that are read, and dropped, rather than asking for each.</summary>
    public const long MaxGap = 256 << 10;

    private const int ReadsAtOnce = 8;

    /// <summary>Reads the shards of a pack.</summary>
    /// <param name="tensors">The pack's tensors.</param>
    /// <param name="buffer">The pack is made at its start; its end is the window through which they are read.</param>
    /// <param name="cancellationToken">Ends it.</param>
    /// <returns>Where in the buffer each shard is.</returns>
    public async Task<Memory<byte>[]> ReadAsync(ImmutableArray<TensorInfo> tensors, Memory<byte> buffer, CancellationToken cancellationToken)
    {
        var window = buffer.Slice(PackPlanner.MaxPackBytes, ShardingOptions.ViewBlockBytes);
        var shards = new Memory<byte>[tensors.Length];
        var rest = buffer[..PackPlanner.MaxPackBytes];
        foreach (var (i, tensor) in tensors.Index())
        {
            (shards[i], rest) = (rest[..(int)tensor.Bytes], rest[(int)tensor.Bytes..]);
            if (tensor.Contiguous is null)
            {
                await new ViewReader(sources[tensor.File], tensor, window).ReadAsync(0, shards[i], cancellationToken).ConfigureAwait(false);
            }
        }

        foreach (var file in Enumerable.Range(0, tensors.Length).Where(i => tensors[i].Contiguous is not null).GroupBy(i => tensors[i].File))
        {
            await ReadAsync(sources[file.Key], [.. file.Select(i => (tensors[i].Contiguous!.Value, shards[i]))], window, cancellationToken).ConfigureAwait(false);
        }

        return shards;
    }

    // What lies far from all others goes to its place, several at once; neighbours go through the window, of which there is one.
    private static async Task ReadAsync(
        ICheckpointSource source, ImmutableArray<(ByteRange Range, Memory<byte> Shard)> shards, Memory<byte> window, CancellationToken cancellationToken)
    {
        var groups = ByteRangeGroup.Coalesce([.. shards.Select(shard => shard.Range)], MaxGap, window.Length).ToLookup(group => group.Members.Length > 1);
        var parallel = new ParallelOptions { MaxDegreeOfParallelism = ReadsAtOnce, CancellationToken = cancellationToken };
        await Parallel.ForEachAsync(groups[false].Select(group => shards[group.Members[0]]), parallel, async (shard, token) =>
            await source.ReadAsync(shard.Range.Offset, shard.Shard, token).ConfigureAwait(false)).ConfigureAwait(false);
        foreach (var group in groups[true])
        {
            var content = window[..(int)group.Extent.Length];
            await source.ReadAsync(group.Extent.Offset, content, cancellationToken).ConfigureAwait(false);
            foreach (var (range, shard) in group.Members.Select(i => shards[i]))
            {
                content.Slice((int)(range.Offset - group.Extent.Offset), (int)range.Length).CopyTo(shard);
            }
        }
    }
}
