using System.Collections.Immutable;
using CloudShards.Formats;

namespace CloudShards;

/// <summary>
/// A part of a tensor: a range of each of its dimensions. Its bytes, packed, are row-major as the tensor's are. In the shard they lie in
/// runs of equal length.
/// </summary>
public sealed class TensorSlice
{
    // The dimensions that are walked from run to run, innermost first, with the distance of neighbours in bytes.
    private readonly ImmutableArray<(long Count, long Stride)> _walked;
    private readonly long _first;

    private TensorSlice(ShardedTensor tensor, TensorShape shape, long first, long runBytes, ImmutableArray<(long Count, long Stride)> walked)
    {
        (Tensor, Shape, _first, RunBytes, _walked) = (tensor, shape, first, runBytes, walked);
        Bytes = walked.Aggregate(runBytes, static (bytes, dimension) => bytes * dimension.Count);
    }

    /// <summary>The tensor.</summary>
    public ShardedTensor Tensor { get; }

    /// <summary>The part's sizes, one for each of the tensor's dimensions.</summary>
    public TensorShape Shape { get; }

    /// <summary>Bytes of the part, packed.</summary>
    public long Bytes { get; }

    /// <summary>Bytes of each of its runs in the shard; all of them where the part is contiguous.</summary>
    public long RunBytes { get; }

    /// <summary>Selects a part of a tensor.</summary>
    /// <param name="tensor">The tensor.</param>
    /// <param name="ranges">
    /// A range for each of the outermost dimensions, as in <c>[1024..2048]</c> or <c>[Range.All, 0..512]</c>; the others are taken whole.
    /// (In <c>[…]</c> a dimension is taken whole by <see cref="Range.All"/>: there, C# reads <c>..</c> as a spread.)
    /// </param>
    /// <exception cref="ArgumentOutOfRangeException">A range reaches beyond its dimension.</exception>
    /// <exception cref="ArgumentException">There are more ranges than dimensions, or the runs do not begin and end at whole bytes.</exception>
    public static TensorSlice Of(ShardedTensor tensor, ReadOnlySpan<Range> ranges)
    {
        ArgumentNullException.ThrowIfNull(tensor);
        var shape = tensor.Shape;
        if (ranges.Length > shape.Rank)
        {
            throw Errors.TooManyRanges(tensor.Name, shape, ranges.Length);
        }

        var sizes = new long[shape.Rank];
        var walked = new List<(long Count, long Stride)>();
        var (first, run, stride, isWhole) = (0L, 1L, 1L, true);
        for (var d = sizes.Length - 1; d >= 0; d--)
        {
            var (start, size) = Resolve(tensor.Name, d < ranges.Length ? ranges[d] : Range.All, d, shape[d]);
            sizes[d] = size;
            first += start * stride;
            if (isWhole)
            {
                run = size * stride;
            }
            else if (walked.Count > 0 && walked[^1].Count * walked[^1].Stride == stride)
            {
                walked[^1] = walked[^1] with { Count = walked[^1].Count * size };
            }
            else if (size > 1)
            {
                walked.Add((size, stride));
            }

            isWhole &= size == shape[d];
            stride *= shape[d];
        }

        var selected = TensorShape.Create(sizes);
        if (selected.Contains(0))
        {
            return new(tensor, selected, 0, 0, []);
        }

        var bits = tensor.DType.Bits();
        return bits % 8 == 0 || (((first * bits) | (run * bits)) % 8 == 0 && walked.TrueForAll(dimension => dimension.Stride * bits % 8 == 0))
            ? new(tensor, selected, first * bits / 8, run * bits / 8, [.. walked.Select(dimension => (dimension.Count, dimension.Stride * bits / 8))])
            : throw Errors.NotWholeBytes(tensor.Name, tensor.DType, first, selected);
    }

    /// <summary>All of a tensor.</summary>
    internal static TensorSlice Whole(ShardedTensor tensor) => new(tensor, tensor.Shape, 0, tensor.Bytes, []);

    /// <summary>Where in the tensor a byte of the packed part comes from.</summary>
    internal long SourceOf(long packed)
    {
        var (source, run) = (_first + (packed % RunBytes), packed / RunBytes);
        foreach (var (count, stride) in _walked)
        {
            source += run % count * stride;
            run /= count;
        }

        return source;
    }

    /// <summary>How many of the packed part's bytes come from before a byte of the tensor.</summary>
    internal long PackedBefore(long source)
    {
        var (rest, packed, unit) = (source - _first, 0L, Bytes);
        for (var d = _walked.Length - 1; d >= 0; d--)
        {
            var (count, stride) = _walked[d];
            unit /= count;
            var index = Math.Clamp(rest / stride, 0, count - 1);
            packed += index * unit;
            rest -= index * stride;
        }

        return packed + Math.Clamp(rest, 0, RunBytes);
    }

    /// <summary>Packed bytes of the runs that are worth reading together: between neighbours are at most <paramref name="maxGap"/> bytes.</summary>
    internal long BytesTogether(long maxGap)
    {
        // From the inside out, gaps only grow.
        var (together, extent) = (RunBytes, RunBytes);
        foreach (var (count, stride) in _walked)
        {
            if (stride - extent > maxGap)
            {
                break;
            }

            together *= count;
            extent += (count - 1) * stride;
        }

        return together;
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
