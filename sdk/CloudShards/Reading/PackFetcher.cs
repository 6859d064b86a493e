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
        using var unpacking = new Unpacking(reads, (tensor, content) => IsRight(blob, tensor, content));
        try
        {
            await fetcher.AskAsync(blob, range, unpacking.Begin, cancellationToken).ConfigureAwait(false);
        }
        catch (Exception e) when (e is ShardNotFoundException or InvalidDataException)
        {
            // A pack only repeats what the shards have, so nothing is lost without it.
            telemetry.PackUnusable(blob, e);
        }

        return unpacking.Missing;
    }

    private bool IsRight(string blob, ShardedTensor tensor, ReadOnlyMemory<byte> content)
    {
        if (fetcher.MismatchOfWhole(tensor, content.Span) is not { } chunk)
        {
            return true;
        }

        telemetry.ChunkCorrupt(tensor.Name, chunk, blob);
        return false;
    }
}

/// <summary>Puts the bytes of a pack's range into the tensors that lie there, piece by piece as they arrive.</summary>
/// <param name="reads">The tensors, in the order of their places. Several may lie at one.</param>
/// <param name="isRight">Whether bytes are a tensor's.</param>
internal sealed class Unpacking(ImmutableArray<PackedRead> reads, Func<ShardedTensor, ReadOnlyMemory<byte>, bool> isRight) : IDisposable
{
    private readonly PackedRead.Piece?[] _open = new PackedRead.Piece?[reads.Length];
    private readonly bool[] _isTaken = new bool[reads.Length];
    private int _first;
    private long _at;

    /// <summary>The tensors that were not found, or not right.</summary>
    public ImmutableArray<PackedRead> Missing => [.. reads.Where((_, i) => !_isTaken[i])];

    /// <summary>Starts from the range's first byte, once more where it did before. What was taken stays taken.</summary>
    /// <returns>What takes the range's bytes in order.</returns>
    public Action<ReadOnlySpan<byte>> Begin()
    {
        (_first, _at) = (0, 0);
        return Take;
    }

    public void Dispose()
    {
        foreach (var piece in _open)
        {
            piece?.Dispose();
        }
    }

    private void Take(ReadOnlySpan<byte> piece)
    {
        var end = _at + piece.Length;
        for (var i = _first; i < reads.Length && reads[i].Offset < end; i++)
        {
            var (read, from) = (reads[i], Math.Max(_at, reads[i].Offset));
            if (!_isTaken[i] && from < read.End)
            {
                var part = piece[(int)(from - _at)..(int)(Math.Min(end, read.End) - _at)];
                var open = _open[i] ??= read.Open();
                part.CopyTo(open.Memory.Span[(int)(from - read.Offset)..]);
                if (read.End <= end)
                {
                    Finish(i, open);
                }
            }
        }

        while (_first < reads.Length && reads[_first].End <= end)
        {
            _first++;
        }

        _at = end;
    }

    private void Finish(int index, PackedRead.Piece whole)
    {
        using (whole)
        {
            _open[index] = null;
            if (isRight(reads[index].Tensor, whole.Memory))
            {
                _isTaken[index] = true;
                whole.Take(isCached: false);
            }
        }
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

    /// <summary>Where in the range it ends.</summary>
    public long End => Offset + Tensor.Bytes;

    /// <summary>Memory for it; disposing the result gives it back.</summary>
    public Piece Open() => new(this, Read.Target?.Open(0, (int)Tensor.Bytes));

    /// <summary>All of the tensor's bytes.</summary>
    internal sealed class Piece(PackedRead packed, IMemoryOwner<byte>? owner) : IDisposable
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
