using System.Buffers;
using System.Collections.Immutable;
using CloudShards.Formats;

namespace CloudShards;

/// <summary>Brings many small tensors into memory by one request to a pack. Each is verified by itself.</summary>
internal sealed class PackFetcher(ShardFetcher fetcher, ReadTelemetry telemetry)
{
    /// <summary>Brings tensors that lie in a range of a pack.</summary>
    /// <returns>Those that are to be read from their own shards, since the pack has them not or has them damaged.</returns>
    public async ValueTask<ImmutableArray<PackedRead>> FetchAsync(
        ManifestPack pack, ByteRange range, ImmutableArray<PackedRead> reads, CancellationToken cancellationToken)
    {
        var blob = StoreLayout.Pack(pack.Digest);
        var buffer = ArrayPool<byte>.Shared.Rent((int)range.Length);
        try
        {
            var content = buffer.AsMemory(0, (int)range.Length);
            return await TryAskAsync(blob, range.Offset, content, cancellationToken).ConfigureAwait(false)
                ? reads.RemoveAll(read => TryTake(blob, read, content.Slice((int)read.Offset, read.Destination.Length)))
                : reads;
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
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

    private bool TryTake(string blob, PackedRead read, ReadOnlyMemory<byte> content)
    {
        if (fetcher.MismatchOfWhole(read.Tensor, content.Span) is { } chunk)
        {
            telemetry.ChunkCorrupt(read.Tensor.Name, chunk, blob);
            return false;
        }

        content.CopyTo(read.Destination);
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
