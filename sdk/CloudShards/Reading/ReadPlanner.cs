using CloudShards.Formats;

namespace CloudShards;

/// <summary>Cuts what is wanted of a tensor into requests. Pure.</summary>
/// <param name="chunkBytes">Bytes of a chunk.</param>
/// <param name="maxRequestBytes">Bytes that one request may ask for; at least one chunk is asked for all the same.</param>
/// <param name="maxGapBytes">The most unwanted bytes that are read between two wanted ones in order to save a request.</param>
internal sealed class ReadPlanner(int chunkBytes, int maxRequestBytes, int maxGapBytes)
{
    /// <summary>Bytes of the largest request: the limit in whole chunks, and one chunk at least.</summary>
    public long RequestBytes { get; } = Math.Max(chunkBytes, maxRequestBytes - (maxRequestBytes % chunkBytes));

    /// <summary>
    /// The requests that together cover <paramref name="run"/>, in order and without overlap. Each is at most
    /// <see cref="RequestBytes"/> long; a run that fits in one is one. Cuts lie between chunks, so that no chunk of the run is torn.
    /// </summary>
    public IEnumerable<ByteRange> Plan(ByteRange run)
    {
        for (var offset = run.Offset; offset < run.End;)
        {
            var end = run.End;
            if (end - offset > RequestBytes)
            {
                end = offset + RequestBytes;
                end -= end % chunkBytes;
            }

            yield return new(offset, end - offset);
            offset = end;
        }
    }

    /// <summary>
    /// Pieces that together are a whole tensor, in order. Each is as long as a request may be, and cut between chunks; where it is staged
    /// also between elements, which may take more than a request.
    /// </summary>
    /// <exception cref="NotSupportedException">Chunks and elements end together too seldom.</exception>
    public IEnumerable<ByteRange> Pieces(ShardedTensor tensor, bool isStaged)
    {
        var step = isStaged ? LeastCommonMultiple(chunkBytes, ElementBytes(tensor.DType)) : chunkBytes;
        var pieceBytes = Math.Max(step, RequestBytes - (RequestBytes % step));
        if (Math.Min(pieceBytes, tensor.Bytes) > int.MaxValue)
        {
            throw Errors.PieceTooLong(tensor, chunkBytes);
        }

        for (var offset = 0L; offset < tensor.Bytes; offset += pieceBytes)
        {
            yield return new(offset, Math.Min(pieceBytes, tensor.Bytes - offset));
        }
    }

    /// <summary>The requests for a window of a slice's packed bytes, in order. Each has wanted bytes in it.</summary>
    public IEnumerable<PlannedRequest> Plan(TensorSlice slice, ByteRange window)
    {
        if (window.Length == 0)
        {
            yield break;
        }

        // A gap shorter than a request leaves no request without wanted bytes, however it is cut.
        var together = slice.BytesTogether(Math.Min(maxGapBytes, RequestBytes - 1));
        for (var packed = window.Offset; packed < window.End;)
        {
            var next = Math.Min(window.End, packed - (packed % together) + together);
            var start = slice.SourceOf(packed);
            foreach (var range in Plan(new(start, slice.SourceOf(next - 1) + 1 - start)))
            {
                var first = Math.Max(packed, slice.PackedBefore(range.Offset));
                yield return new(range, new(first, Math.Min(next, slice.PackedBefore(range.End)) - first));
            }

            packed = next;
        }
    }

    // The fewest bytes that hold whole elements.
    private static long ElementBytes(TensorDType dtype) => LeastCommonMultiple(dtype.Bits(), 8) / 8;

    private static long LeastCommonMultiple(long a, long b)
    {
        var (divisor, rest) = (a, b);
        while (rest != 0)
        {
            (divisor, rest) = (rest, divisor % rest);
        }

        return a / divisor * b;
    }
}

/// <summary>A request for some of a tensor's bytes.</summary>
/// <param name="Range">The tensor's bytes that are asked for.</param>
/// <param name="Packed">Which of the slice's packed bytes are among them.</param>
internal readonly record struct PlannedRequest(ByteRange Range, ByteRange Packed)
{
    /// <summary>Whether every byte is wanted, so that the packed ones are one run.</summary>
    public bool IsExact => Packed.Length == Range.Length;

    /// <summary>What of this lies in a part of its range.</summary>
    public PlannedRequest Within(TensorSlice slice, ByteRange part)
    {
        var first = Math.Max(Packed.Offset, slice.PackedBefore(part.Offset));
        return new(part, new(first, Math.Max(0, Math.Min(Packed.End, slice.PackedBefore(part.End)) - first)));
    }
}
