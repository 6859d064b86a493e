using System.Buffers;
using System.Collections.Immutable;
using CloudShards.Formats;

namespace CloudShards.Sharding;

/// <summary>
/// Writes the shards of one batch: reads their bytes from the source, in the order in which they lie there, and hands them to the
/// <see cref="ShardWriter"/>. What exists already is not written again, so a batch may be repeated at any time.
/// </summary>
/// <param name="sources">The uploaded files, in the plan's order.</param>
/// <param name="writer">Writes each shard.</param>
/// <param name="options">The memory that may be used.</param>
internal sealed class BatchWriter(ImmutableArray<ICheckpointSource> sources, ShardWriter writer, ShardingOptions options)
{
    // Small neighbours are read in one request; one source blob serves a few thousand requests a second.
    private const long MaxGap = 64 << 10;
    private const long SmallBytes = 4 << 20;

    /// <summary>Writes a batch.</summary>
    /// <param name="plan">The plan that it is of.</param>
    /// <param name="batch">The batch.</param>
    /// <param name="progress">Is told of each shard; null for nobody.</param>
    /// <param name="cancellationToken">Ends it.</param>
    /// <exception cref="SourceChangedException">The file was overwritten meanwhile.</exception>
    public async Task<ShardReceipt> WriteAsync(ShardPlan plan, ShardBatch batch, IProgress<WrittenShard>? progress, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(plan);
        var written = new WrittenShard[batch.ShardCount];
        var parallel = new ParallelOptions { MaxDegreeOfParallelism = options.Lanes, CancellationToken = cancellationToken };
        await Parallel.ForEachAsync(Work(plan, batch), parallel, async (work, token) =>
        {
            foreach (var (shard, result) in await work(token).ConfigureAwait(false))
            {
                written[shard - batch.FirstShard] = result;
                progress?.Report(result);
            }
        }).ConfigureAwait(false);
        return new(batch.Number, [.. written.Select(shard => new ReceiptShard(shard.Sums.Digest, shard.Sums.Chunks, shard.Created))]);
    }

    private IEnumerable<Func<CancellationToken, Task<IEnumerable<(int Shard, WrittenShard Result)>>>> Work(ShardPlan plan, ShardBatch batch)
    {
        var small = new List<int>();
        foreach (var shard in Enumerable.Range(batch.FirstShard, batch.ShardCount))
        {
            var tensor = plan.TensorOf(shard);
            switch (tensor.Contiguous)
            {
                case { Length: <= SmallBytes }:
                    small.Add(shard);
                    break;
                case { } range:
                    yield return async token => [(shard, await WriteRangeAsync(sources[tensor.File], range, token).ConfigureAwait(false))];
                    break;
                default:
                    yield return async token => [(shard, await WriteViewAsync(tensor, token).ConfigureAwait(false))];
                    break;
            }
        }

        foreach (var file in small.GroupBy(shard => plan.TensorOf(shard).File))
        {
            List<int> shards = [.. file];
            var ranges = shards.ConvertAll(shard => plan.TensorOf(shard).Contiguous!.Value);
            foreach (var group in ByteRangeGroup.Coalesce(ranges, MaxGap, ShardingOptions.BufferedBytes))
            {
                yield return token => WriteGroupAsync(sources[file.Key], group, ranges, shards, token);
            }
        }
    }

    private async Task<IEnumerable<(int Shard, WrittenShard Result)>> WriteGroupAsync(
        ICheckpointSource source, ByteRangeGroup group, List<ByteRange> ranges, List<int> shards, CancellationToken cancellationToken)
    {
        var results = new List<(int, WrittenShard)>(group.Members.Length);
        var length = (int)group.Extent.Length;
        using var buffer = MemoryPool<byte>.Shared.Rent(Math.Max(1, length));
        await source.ReadAsync(group.Extent.Offset, buffer.Memory[..length], cancellationToken).ConfigureAwait(false);
        foreach (var i in group.Members)
        {
            var content = buffer.Memory.Slice((int)(ranges[i].Offset - group.Extent.Offset), (int)ranges[i].Length);
            results.Add((shards[i], await writer.WriteAsync(content, cancellationToken).ConfigureAwait(false)));
        }

        return results;
    }

    private Task<WrittenShard> WriteRangeAsync(ICheckpointSource source, ByteRange range, CancellationToken cancellationToken) =>
        writer.WriteAsync(range.Length, (offset, destination, token) => source.ReadAsync(range.Offset + offset, destination, token), cancellationToken);

    private async Task<WrittenShard> WriteViewAsync(TensorInfo tensor, CancellationToken cancellationToken)
    {
        using var view = new ViewReader(sources[tensor.File], tensor);
        return await writer.WriteAsync(tensor.Bytes, view.ReadAsync, cancellationToken).ConfigureAwait(false);
    }
}
