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
/// <param name="copy">Has large shards copied by the service; null where none can.</param>
/// <param name="pace">How much is under way at once.</param>
/// <param name="lanes">How much of it may have a buffer.</param>
internal sealed class BatchWriter(ImmutableArray<ICheckpointSource> sources, ShardWriter writer, ServerSideCopy? copy, RequestPace pace, int lanes)
{
    // Small neighbours are read in one request; one source blob serves a few thousand requests a second.
    private const long MaxGap = 64 << 10;
    private const long SmallBytes = 4 << 20;

    // Small shards that are written at once from what one request has read: a write takes as long as some hundred KiB take to travel.
    private const int SmallWrites = 8;

    private readonly PackReader _packs = new(sources);

    /// <summary>Writes a batch.</summary>
    /// <param name="batch">The batch.</param>
    /// <param name="progress">Is told of each shard; null for nobody.</param>
    /// <param name="cancellationToken">Ends it.</param>
    /// <exception cref="SourceChangedException">The file was overwritten meanwhile.</exception>
    public async Task<ShardReceipt> WriteAsync(ShardBatch batch, IProgress<WrittenShard>? progress, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(batch);
        var shards = new ReceiptShard[batch.Shards.Length];
        void Finish(int shard, WrittenShard written)
        {
            // Work that is done again finishes some shards again.
            if (Interlocked.CompareExchange(ref shards[shard], new(written.Sums.Digest, written.Sums.Chunks, written.Created), null) is null)
            {
                progress?.Report(written);
            }
        }

        var packs = new ReceiptPack[batch.Packs.Length];
        var packing = batch.Packs.Select<PackedShards, Func<CancellationToken, Task>>((pack, i) => async token =>
            packs[i] = new(await WritePackAsync(batch.Shards.Slice(pack.First, pack.Count), (shard, written) => Finish(pack.First + shard, written), token)
                .ConfigureAwait(false), pack));
        await Parallel.ForEachAsync(packing.Concat(Work(batch, Finish)), Parallelism(lanes, cancellationToken), async (work, token) =>
            await pace.RunAsync(work, token).ConfigureAwait(false)).ConfigureAwait(false);
        return new(batch.Number, [.. shards], [.. packs]);
    }

    private IEnumerable<Func<CancellationToken, Task>> Work(ShardBatch batch, Action<int, WrittenShard> finish)
    {
        var tensors = batch.Shards;
        var packed = batch.Packs.SelectMany(pack => Enumerable.Range(pack.First, pack.Count)).ToHashSet();
        var (small, views) = (new List<int>(), new List<int>());
        foreach (var shard in Enumerable.Range(0, tensors.Length).Where(shard => !packed.Contains(shard)))
        {
            var tensor = tensors[shard];
            switch (tensor.Contiguous)
            {
                case { Length: <= SmallBytes }:
                    small.Add(shard);
                    break;
                case { } range:
                    yield return async token => finish(shard, await WriteRangeAsync(sources[tensor.File], range, token).ConfigureAwait(false));
                    break;
                default:
                    views.Add(shard);
                    break;
            }
        }

        // One after the other, for each has a block beside its buffer.
        if (views.Count > 0)
        {
            yield return async token =>
            {
                foreach (var shard in views)
                {
                    finish(shard, await WriteViewAsync(tensors[shard], token).ConfigureAwait(false));
                }
            };
        }

        foreach (var file in small.GroupBy(shard => tensors[shard].File))
        {
            List<int> shards = [.. file];
            var ranges = shards.ConvertAll(shard => tensors[shard].Contiguous!.Value);
            foreach (var group in ByteRangeGroup.Coalesce(ranges, MaxGap, ShardingOptions.BufferedBytes))
            {
                yield return token => WriteGroupAsync(sources[file.Key], group, ranges, (i, written) => finish(shards[i], written), token);
            }
        }
    }

    private async Task WriteGroupAsync(
        ICheckpointSource source, ByteRangeGroup group, List<ByteRange> ranges, Action<int, WrittenShard> finish, CancellationToken cancellationToken)
    {
        using var buffer = await writer.RentAsync((int)group.Extent.Length, cancellationToken).ConfigureAwait(false);
        var content = buffer.Memory;
        await source.ReadAsync(group.Extent.Offset, content, cancellationToken).ConfigureAwait(false);
        await WriteSmallAsync(
            group.Members.Select(i => (i, content.Slice((int)(ranges[i].Offset - group.Extent.Offset), (int)ranges[i].Length))), finish, cancellationToken)
            .ConfigureAwait(false);
    }

    private async Task<Digest> WritePackAsync(ImmutableArray<TensorInfo> tensors, Action<int, WrittenShard> finish, CancellationToken cancellationToken)
    {
        using var buffer = await writer.RentAsync(ShardingOptions.BufferedBytes, cancellationToken).ConfigureAwait(false);
        var shards = await _packs.ReadAsync(tensors, buffer.Memory, cancellationToken).ConfigureAwait(false);
        await WriteSmallAsync(shards.Index(), finish, cancellationToken).ConfigureAwait(false);
        return await writer.WritePackAsync(buffer.Memory[..shards.Sum(shard => shard.Length)], cancellationToken).ConfigureAwait(false);
    }

    private Task WriteSmallAsync(IEnumerable<(int Index, Memory<byte> Content)> shards, Action<int, WrittenShard> finish, CancellationToken cancellationToken) =>
        Parallel.ForEachAsync(shards, Parallelism(SmallWrites, cancellationToken), async (shard, token) =>
            finish(shard.Index, await writer.WriteAsync(shard.Content, token).ConfigureAwait(false)));

    private Task<WrittenShard> WriteRangeAsync(ICheckpointSource source, ByteRange range, CancellationToken cancellationToken)
    {
        ValueTask ReadAsync(long offset, Memory<byte> destination, CancellationToken token) => source.ReadAsync(range.Offset + offset, destination, token);
        return range.Length >= ShardingOptions.CopiedBytes && copy is { IsPossible: true } && source is BlobCheckpointSource blob
            ? CopyAsync(copy, blob, range, ReadAsync, cancellationToken)
            : writer.WriteAsync(range.Length, ReadAsync, cancellationToken);
    }

    private async Task<WrittenShard> CopyAsync(
        ServerSideCopy copying, BlobCheckpointSource source, ByteRange range, ShardContent content, CancellationToken cancellationToken)
    {
        using var hashes = new BlockHashes(ServerSideCopy.BlockBytes);
        async ValueTask ReadAsync(long offset, Memory<byte> destination, CancellationToken token)
        {
            await content(offset, destination, token).ConfigureAwait(false);
            hashes.Append(destination.Span);
        }

        var sums = await writer.HashAsync(range.Length, ReadAsync, cancellationToken).ConfigureAwait(false);
        if (await writer.ExistsAsync(sums, cancellationToken).ConfigureAwait(false))
        {
            return new(sums, false);
        }

        switch (await copying.TryCopyAsync(sums, source, range, hashes.Finish(), cancellationToken).ConfigureAwait(false))
        {
            case true:
                ShardingTelemetry.Copied(sums.Bytes);
                return new(sums, true);
            case false when await writer.ExistsAsync(sums, cancellationToken).ConfigureAwait(false):
                return new(sums, false);
            default:
                return await writer.WriteAsync(sums, content, cancellationToken).ConfigureAwait(false);
        }
    }

    private async Task<WrittenShard> WriteViewAsync(TensorInfo tensor, CancellationToken cancellationToken)
    {
        using var window = await writer.RentAsync((int)Math.Min(tensor.Bytes, writer.MaxBufferBytes), cancellationToken).ConfigureAwait(false);
        var block = ArrayPool<byte>.Shared.Rent(ShardingOptions.ViewBlockBytes);
        try
        {
            var view = new ViewReader(sources[tensor.File], tensor, block);
            if (tensor.Bytes <= window.Length)
            {
                await view.ReadAsync(0, window.Memory, cancellationToken).ConfigureAwait(false);
                return await writer.WriteAsync(window.Memory, cancellationToken).ConfigureAwait(false);
            }

            var sums = await writer.HashAsync(view.ReadAllAsync(window.Memory, cancellationToken)).ConfigureAwait(false);
            return await writer.WriteAsync(sums, view.ReadAllAsync(window.Memory, cancellationToken), cancellationToken).ConfigureAwait(false);
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(block);
        }
    }

    private static ParallelOptions Parallelism(int degree, CancellationToken cancellationToken) =>
        new() { MaxDegreeOfParallelism = degree, CancellationToken = cancellationToken };
}
