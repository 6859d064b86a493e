using CloudShards.Formats;

namespace CloudShards;

/// <summary>A contiguous part of a tensor.</summary>
/// <param name="Shape">Its sizes, one for each of the tensor's dimensions.</param>
/// <param name="Bytes">Where its bytes lie in the tensor's.</param>
public readonly record struct TensorSlice(TensorShape Shape, ByteRange Bytes)
{
    /// <summary>Finds the part of a tensor that a range for each dimension selects.</summary>
    /// <param name="tensor">The tensor.</param>
    /// <param name="ranges">
    /// A range for each of the outermost dimensions, as in <c>[1024..2048]</c> or <c>[7..8, 0..512]</c>; the others are taken whole. The
    /// selected elements must lie in one run, so a part of a dimension can be selected only where every dimension outside it selects a
    /// single index. (In <c>[…]</c> a dimension is taken whole by <see cref="Range.All"/>: there, C# reads <c>..</c> as a spread.)
    /// </param>
    /// <exception cref="ArgumentOutOfRangeException">A range reaches beyond its dimension.</exception>
    /// <exception cref="ArgumentException">
    /// There are more ranges than dimensions, the elements do not lie in one run, or they do not begin and end at whole bytes.
    /// </exception>
    public static TensorSlice Of(ShardedTensor tensor, ReadOnlySpan<Range> ranges)
    {
        ArgumentNullException.ThrowIfNull(tensor);
        var shape = tensor.Shape;
        if (ranges.Length > shape.Rank)
        {
            throw Errors.TooManyRanges(tensor.Name, shape, ranges.Length);
        }

        var sizes = new long[shape.Rank];
        var first = 0L;
        var selectsMany = false;
        var isOneRun = true;
        for (var d = 0; d < sizes.Length; d++)
        {
            var (start, size) = Resolve(tensor.Name, d < ranges.Length ? ranges[d] : Range.All, d, shape[d]);
            isOneRun &= size == shape[d] || !selectsMany;
            selectsMany |= size > 1;
            first = (first * shape[d]) + start;
            sizes[d] = size;
        }

        var selected = TensorShape.Create(sizes);
        if (selected.Contains(0))
        {
            return new(selected, default);
        }

        var (firstBit, bits) = (first * tensor.DType.Bits(), selected.ElementCount() * tensor.DType.Bits());
        return !isOneRun ? throw Errors.NotOneRun(tensor.Name, shape, ranges)
            : (firstBit | bits) % 8 != 0 ? throw Errors.NotWholeBytes(tensor.Name, tensor.DType, first, selected)
            : new(selected, new(firstBit / 8, bits / 8));
    }

    private static (long Start, long Length) Resolve(string tensor, Range range, int dimension, long size)
    {
        var start = range.Start.IsFromEnd ? size - range.Start.Value : range.Start.Value;
        var end = range.End.IsFromEnd ? size - range.End.Value : range.End.Value;
        return 0 <= start && start <= end && end <= size
            ? (start, end - start)
            : throw Errors.RangeBeyondDimension(tensor, range, dimension, size);
    }
}
