using System.Collections.Immutable;
using CloudShards.Formats;

namespace CloudShards;

/// <summary>Finds among what is wanted the small tensors that lie in packs, so that a request brings many of them. Pure.</summary>
/// <param name="packs">The manifest's packs.</param>
/// <param name="requestBytes">Bytes of the largest request.</param>
/// <param name="maxGapBytes">The most unwanted bytes that are read between two wanted tensors in order to save a request.</param>
internal sealed class PackReadPlanner(ImmutableArray<ManifestPack> packs, long requestBytes, int maxGapBytes)
{
    private readonly Lazy<Dictionary<string, (ManifestPack Pack, long Offset)>> _places = new(() => PlacesOf(packs));

    /// <summary>
    /// Gathers items that are whole tensors of packs, until together they are worth a request, or there are no more items. The others pass
    /// at once, each a group of its own, in their order.
    /// </summary>
    /// <param name="items">What is wanted; enumerated only as the groups are.</param>
    /// <param name="wholeTensorOf">The tensor that an item is all of; null where it is less.</param>
    public IEnumerable<PackGroup<T>> Group<T>(IEnumerable<T> items, Func<T, ShardedTensor?> wholeTensorOf)
    {
        var gathered = new OrderedDictionary<ManifestPack, Gathering<T>>(ReferenceEqualityComparer.Instance);
        foreach (var item in items)
        {
            if (packs.IsDefaultOrEmpty || wholeTensorOf(item) is not { } tensor || !_places.Value.TryGetValue(tensor.Name, out var place))
            {
                yield return PackGroup<T>.Of(item);
                continue;
            }

            if (!gathered.TryGetValue(place.Pack, out var gathering))
            {
                gathered.Add(place.Pack, gathering = new(place.Pack));
            }

            gathering.Add(item, new(place.Offset, tensor.Bytes));
            if (gathering.Bytes >= requestBytes)
            {
                gathered.Remove(place.Pack);
                foreach (var group in Requests(gathering))
                {
                    yield return group;
                }
            }
        }

        foreach (var group in gathered.Values.SelectMany(Requests))
        {
            yield return group;
        }
    }

    private IEnumerable<PackGroup<T>> Requests<T>(Gathering<T> gathering) =>
        from together in ByteRangeGroup.Coalesce(gathering.Ranges, maxGapBytes, requestBytes)
        select together.Members is [var only]
            ? PackGroup<T>.Of(gathering.Items[only])
            : new PackGroup<T>(
                gathering.Pack, together.Extent, [.. together.Members.Select(i => (gathering.Items[i], gathering.Ranges[i].Offset - together.Extent.Offset))]);

    private static Dictionary<string, (ManifestPack Pack, long Offset)> PlacesOf(ImmutableArray<ManifestPack> packs)
    {
        var places = new Dictionary<string, (ManifestPack Pack, long Offset)>(packs.Sum(pack => pack.Tensors.Length), StringComparer.Ordinal);
        foreach (var pack in packs)
        {
            foreach (var packed in pack.Tensors)
            {
                places.TryAdd(packed.Name, (pack, packed.Offset));
            }
        }

        return places;
    }

    private sealed class Gathering<T>(ManifestPack pack)
    {
        public ManifestPack Pack => pack;

        public List<T> Items { get; } = [];

        public List<ByteRange> Ranges { get; } = [];

        public long Bytes { get; private set; }

        public void Add(T item, ByteRange range)
        {
            Items.Add(item);
            Ranges.Add(range);
            Bytes += range.Length;
        }
    }
}

/// <summary>What one request to a pack brings; or, where there is no pack, one item that is read from its own shard.</summary>
/// <param name="Pack">The pack.</param>
/// <param name="Range">The pack's bytes that are asked for.</param>
/// <param name="Members">The items, and where in the range each begins.</param>
internal readonly record struct PackGroup<T>(ManifestPack? Pack, ByteRange Range, ImmutableArray<(T Item, long Offset)> Members)
{
    /// <summary>An item that is read from its own shard.</summary>
    public static PackGroup<T> Of(T item) => new(null, default, [(item, 0)]);

    /// <summary>Bytes of the range that are of no item.</summary>
    public long GapBytes(Func<T, long> bytesOf)
    {
        // Tied tensors lie at one place, and items are in the order of their places.
        var (gaps, end) = (0L, 0L);
        foreach (var (item, offset) in Members)
        {
            gaps += Math.Max(0, offset - end);
            end = Math.Max(end, offset + bytesOf(item));
        }

        return gaps;
    }
}
