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
        var missing = cache is null ? reads : reads.RemoveAll(read => TryTakeCached(cache, read, cancellationToken));
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
                if (!isThere || !TryTake(pack, read, content.Slice((int)read.Offset, read.Destination.Length)))
                {
                    var isCached = await fetcher.FetchAsync(read.Tensor, 0, read.Destination, cancellationToken).ConfigureAwait(false);
                    read.Arrival.Take(0, read.Destination, isCached);
                }
            }
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
    }

    private bool TryTakeCached(ShardCache shards, PackedRead read, CancellationToken cancellationToken)
    {
        var isCached = shards.TryRead(read.Tensor, fetcher.ChunkBytes, 0, read.Destination.Span, cancellationToken);
        if (isCached)
        {
            read.Arrival.Take(0, read.Destination, isCached);
        }

        return isCached;
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

    private bool TryTake(ManifestPack pack, PackedRead read, ReadOnlyMemory<byte> shard)
    {
        if (fetcher.Mismatch(read.Tensor, 0, shard.Span) is { } chunk)
        {
            telemetry.ChunkCorrupt(read.Tensor.Name, chunk, StoreLayout.Pack(pack.Digest));
            return false;
        }

        shard.CopyTo(read.Destination);
        read.Arrival.Take(0, read.Destination, isCached: false);
        return true;
    }
}

/// <summary>A whole tensor that is read from a pack.</summary>
/// <param name="Tensor">The tensor.</param>
/// <param name="Offset">Where in the range that is asked for it begins.</param>
/// <param name="Destination">Where its bytes go.</param>
/// <param name="Arrival">Who is told.</param>
internal sealed record PackedRead(ShardedTensor Tensor, long Offset, Memory<byte> Destination, Arrival Arrival);
