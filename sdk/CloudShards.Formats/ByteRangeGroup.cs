using System.Collections.Immutable;

namespace CloudShards.Formats;

/// <summary>Byte ranges that are worth reading together: one request costs more than the few bytes between them.</summary>
/// <param name="Extent">The range to read.</param>
/// <param name="Members">The indices of the ranges within it, in the order of their offsets.</param>
public sealed record ByteRangeGroup(ByteRange Extent, ImmutableArray<int> Members)
{
    /// <summary>Groups ranges, each into exactly one group. A range that is larger than <paramref name="maxBytes"/> has a group of its own.</summary>
    /// <param name="ranges">The ranges, in any order; they may overlap.</param>
    /// <param name="maxGap">The most bytes that may be read between two neighbours and thrown away.</param>
    /// <param name="maxBytes">The most bytes that a group of several ranges may extend over.</param>
    public static ImmutableArray<ByteRangeGroup> Coalesce(IReadOnlyList<ByteRange> ranges, long maxGap, long maxBytes)
    {
        ArgumentNullException.ThrowIfNull(ranges);
        ArgumentOutOfRangeException.ThrowIfNegative(maxGap);
        ArgumentOutOfRangeException.ThrowIfNegative(maxBytes);
        var groups = ImmutableArray.CreateBuilder<ByteRangeGroup>();
        var members = ImmutableArray.CreateBuilder<int>();
        var (start, end) = (0L, 0L);
        foreach (var index in Enumerable.Range(0, ranges.Count).OrderBy(i => ranges[i].Offset))
        {
            var range = ranges[index];
            var extended = Math.Max(end, range.End);
            if (members.Count > 0 && (range.Offset - end > maxGap || extended - start > maxBytes))
            {
                groups.Add(new(new(start, end - start), members.DrainToImmutable()));
            }

            (start, end) = members.Count == 0 ? (range.Offset, range.End) : (start, extended);
            members.Add(index);
        }

        if (members.Count > 0)
        {
            groups.Add(new(new(start, end - start), members.DrainToImmutable()));
        }

        return groups.DrainToImmutable();
    }
}
