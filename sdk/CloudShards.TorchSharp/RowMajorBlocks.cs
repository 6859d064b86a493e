using System.Collections.Immutable;

namespace CloudShards;

/// <summary>A box of neighbouring elements in a tensor.</summary>
/// <param name="Outer">The index in each of the outermost dimensions.</param>
/// <param name="First">The first index in the next dimension; the box has all of those that follow it.</param>
/// <param name="Count">Number of indices in that dimension.</param>
/// <param name="Elements">Number of elements in the box.</param>
internal readonly record struct RowMajorBlock(ImmutableArray<long> Outer, long First, long Count, long Elements);

/// <summary>Cuts runs of elements, counted in row-major order, into boxes that a tensor can be narrowed to, whatever its strides.</summary>
internal static class RowMajorBlocks
{
    /// <summary>The fewest boxes that hold <paramref name="count"/> elements from <paramref name="start"/> on, in order.</summary>
    /// <param name="shape">The tensor's sizes; one at least.</param>
    /// <param name="start">The first element.</param>
    /// <param name="count">Number of elements.</param>
    public static IEnumerable<RowMajorBlock> Of(IReadOnlyList<long> shape, long start, long count)
    {
        var strides = Strides(shape);
        for (var end = start + count; start < end;)
        {
            // The outermost dimension in which a whole step can be made: always the innermost at least, as its steps are single elements.
            var dimension = 0;
            while (start % strides[dimension] != 0 || end - start < strides[dimension])
            {
                dimension++;
            }

            var first = start / strides[dimension] % shape[dimension];
            var steps = Math.Min((end - start) / strides[dimension], shape[dimension] - first);
            var at = start;
            var outer = Enumerable.Range(0, dimension).Select(d => at / strides[d] % shape[d]);
            yield return new([.. outer], first, steps, steps * strides[dimension]);
            start += steps * strides[dimension];
        }
    }

    private static long[] Strides(IReadOnlyList<long> shape)
    {
        var strides = new long[shape.Count];
        long step = 1;
        for (var dimension = shape.Count - 1; dimension >= 0; dimension--)
        {
            strides[dimension] = step;
            step *= shape[dimension];
        }

        return strides;
    }
}
