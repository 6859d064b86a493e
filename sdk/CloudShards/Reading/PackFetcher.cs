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
                ? reads.RemoveAll(read => TryTake(blob, read, content.Slice((int)read.Offset, (int)read.Tensor.Bytes)))
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

        using var piece = read.Open();
        content.CopyTo(piece.Memory);
        piece.Take(isCached: false);
        return true;
    }
}

/// <summary>A whole tensor that is read from a pack.</summary>
/// <param name="Read">What is read, and where it goes.</param>
/// <param name="Offset">Where in the range that is asked for it begins.</param>
/// <param name="Arrival">Who is told.</param>
internal sealed record PackedRead(ShardRead Read, long Offset, Arrival Arrival)
{
    /// <summary>The tensor.</summary>
    public ShardedTensor Tensor => Read.Tensor;

    /// <summary>Memory for it; disposing the result gives it back.</summary>
    public Piece Open() => new(this, Read.Target?.Open(0, (int)Tensor.Bytes));

    /// <summary>All of the tensor's bytes, one tensor at a time for each request.</summary>
    internal readonly struct Piece(PackedRead packed, IMemoryOwner<byte>? owner) : IDisposable
    {
        /// <summary>Where they go.</summary>
        public Memory<byte> Memory => owner?.Memory ?? packed.Read.Destination;

        /// <summary>Puts them to their place, and tells it.</summary>
        public void Take(bool isCached)
        {
            if (owner is not null)
            {
                packed.Read.Target!.Settle(0, owner);
            }

            packed.Arrival.Take(0, Memory, isCached);
        }

        public void Dispose() => owner?.Dispose();
    }
}
