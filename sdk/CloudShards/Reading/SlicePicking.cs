namespace CloudShards;

/// <summary>Moves the wanted bytes out of those that a request brings, piece by piece as they arrive.</summary>
/// <param name="slice">What is wanted.</param>
/// <param name="request">The request.</param>
/// <param name="destination">Where <see cref="PlannedRequest.Packed"/> goes.</param>
internal sealed class SlicePicking(TensorSlice slice, PlannedRequest request, Memory<byte> destination)
{
    private long _at = request.Range.Offset;
    private long _packed = request.Packed.Offset;

    /// <summary>Takes the next bytes of the request's range.</summary>
    public void Take(ReadOnlySpan<byte> piece)
    {
        var wanted = destination.Span;
        var end = _at + piece.Length;
        while (_packed < request.Packed.End && slice.SourceOf(_packed) is var source && source < end)
        {
            var run = Math.Min(slice.RunBytes - (_packed % slice.RunBytes), request.Packed.End - _packed);
            var part = piece.Slice((int)(source - _at), (int)Math.Min(run, end - source));
            part.CopyTo(wanted[(int)(_packed - request.Packed.Offset)..]);
            _packed += part.Length;
        }

        _at = end;
    }
}
