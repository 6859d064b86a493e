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
                if (!isThere || !TryTake(pack, read, content.Slice((int)read.Offset, (int)read.Tensor.Bytes)))
                {
                    using var piece = read.Open();
                    var isCached = await fetcher.FetchAsync(read.Tensor, 0, piece.Memory, cancellationToken).ConfigureAwait(false);
                    piece.Take(isCached);
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
        using var piece = read.Open();
        var isCached = shards.TryRead(read.Tensor, fetcher.ChunkBytes, 0, piece.Memory.Span, cancellationToken);
        if (isCached)
        {
            piece.Take(isCached);
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

        using var piece = read.Open();
        shard.CopyTo(piece.Memory);
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
