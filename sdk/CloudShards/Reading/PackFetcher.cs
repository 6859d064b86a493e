using System.Buffers;
using System.Collections.Immutable;
using CloudShards.Formats;

namespace CloudShards;

/// <summary>
/// Brings many small shards into memory by one request to a pack. Each is verified by itself; what the pack has not, or has damaged, is read
/// from its own shard.
/// </summary>
internal sealed class PackFetcher(ShardFetcher fetcher, ShardCache? cache, ReadTelemetry telemetry)
{
    /// <summary>Brings tensors that lie in a range of a pack.</summary>
    public async ValueTask FetchAsync(ManifestPack pack, ByteRange range, ImmutableArray<PackedRead> reads, CancellationToken cancellationToken)
    {
        var missing = cache is null ? reads : await TakeCachedAsync(cache, reads, cancellationToken).ConfigureAwait(false);
        if (missing.IsEmpty)
        {
            return;
        }

        var buffer = ArrayPool<byte>.Shared.Rent((int)range.Length);
        try
        {
            var content = buffer.AsMemory(0, (int)range.Length);
            var isThere = await TryAskAsync(StoreLayout.Pack(pack.Digest), range.Offset, content, cancellationToken).ConfigureAwait(false);
            foreach (var read in missing)
            {
                if (!isThere || !await TryTakeAsync(pack, read, content.Slice((int)read.Offset, read.Destination.Length)).ConfigureAwait(false))
                {
                    var isCached = await fetcher.FetchAsync(read.Tensor, 0, read.Destination, cancellationToken).ConfigureAwait(false);
                    await read.Arrival.TakeAsync(0, read.Destination, isCached).ConfigureAwait(false);
                }
            }
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
    }

    // Takes what the cache has; the others come back.
    private static async ValueTask<ImmutableArray<PackedRead>> TakeCachedAsync(
        ShardCache shards, ImmutableArray<PackedRead> reads, CancellationToken cancellationToken)
    {
        var isCached = await shards.TryReadAllAsync(reads.Select(read => (read.Tensor, read.Destination)), cancellationToken).ConfigureAwait(false);
        foreach (var (read, _) in reads.Zip(isCached).Where(pair => pair.Second))
        {
            await read.Arrival.TakeAsync(0, read.Destination, isCached: true).ConfigureAwait(false);
        }

        return [.. reads.Zip(isCached).Where(pair => !pair.Second).Select(pair => pair.First)];
    }

    // A pack only repeats what the shards have, so nothing is lost without it.
    private async ValueTask<bool> TryAskAsync(string blob, long offset, Memory<byte> content, CancellationToken cancellationToken)
    {
        try
        {
            await fetcher.AskAsync(blob, offset, content, cancellationToken).ConfigureAwait(false);
            return true;
        }
        catch (Exception e) when (e is ShardNotFoundException or InvalidDataException)
        {
            telemetry.PackUnusable(blob, e);
            return false;
        }
    }

    private async ValueTask<bool> TryTakeAsync(ManifestPack pack, PackedRead read, ReadOnlyMemory<byte> shard)
    {
        if (fetcher.Mismatch(read.Tensor, 0, shard.Span) is { } chunk)
        {
            telemetry.ChunkCorrupt(read.Tensor.Name, chunk, StoreLayout.Pack(pack.Digest));
            return false;
        }

        shard.CopyTo(read.Destination);
        await read.Arrival.TakeAsync(0, read.Destination, isCached: false).ConfigureAwait(false);
        return true;
    }
}

/// <summary>A whole tensor that is read from a pack.</summary>
/// <param name="Tensor">The tensor.</param>
/// <param name="Offset">Where in the range that is asked for it begins.</param>
/// <param name="Destination">Where its bytes go.</param>
/// <param name="Arrival">Who is told.</param>
internal sealed record PackedRead(ShardedTensor Tensor, long Offset, Memory<byte> Destination, Arrival Arrival);
