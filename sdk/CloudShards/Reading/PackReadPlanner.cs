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
    /// Gathers items that are whole tensors of packs: until all of a pack's are there, or two requests' worth of them, or there are no more items.
    /// The others pass at once, each a group of its own, in their order.
    /// </summary>
    /// <param name="items">What is wanted; enumerated only as the groups are.</param>
    /// <param name="wholeTensorOf">The tensor that an item is all of; null where it is less, or is not to be read from a pack.</param>
    public IEnumerable<PackGroup<T>> Group<T>(IEnumerable<T> items, Func<T, ShardedTensor?> wholeTensorOf)
    {
        var gathered = new OrderedDictionary<ManifestPack, Gathering<T>>(ReferenceEqualityComparer.Instance);
        foreach (var item in items)
        {
            if (packs.IsDefaultOrEmpty || wholeTensorOf(item) is not { Bytes: > 0 } tensor || !_places.Value.TryGetValue(tensor.Name, out var place))
            {
                yield return PackGroup<T>.Of(item);
                continue;
            }

            if (!gathered.TryGetValue(place.Pack, out var gathering))
            {
                gathered.Add(place.Pack, gathering = new(place.Pack, requestBytes, maxGapBytes));
            }

            foreach (var group in gathering.Add(item, new(place.Offset, tensor.Bytes)))
            {
                yield return group;
            }
        }

        foreach (var group in gathered.Values.SelectMany(gathering => gathering.End()))
        {
            yield return group;
        }
    }

    private static Dictionary<string, (ManifestPack Pack, long Offset)> PlacesOf(ImmutableArray<ManifestPack> packs)
    {
        var places = new Dictionary<string, (ManifestPack Pack, long Offset)>(StringComparer.Ordinal);
        foreach (var pack in packs)
        {
            foreach (var packed in pack.Tensors)
            {
                places.TryAdd(packed.Name, (pack, packed.Offset));
            }
        }

        return places;
    }

    private sealed class Gathering<T>(ManifestPack pack, long requestBytes, int maxGapBytes)
    {
        private List<(T Item, ByteRange Range)> _items = [];
        private long _bytes;
        private int _seen;

        public List<PackGroup<T>> Add(T item, ByteRange range)
        {
            _items.Add((item, range));
            _bytes += range.Length;
            return ++_seen % pack.Tensors.Length == 0 ? End() : _bytes >= 2 * requestBytes ? Take(keepsLast: true) : [];
        }

        public List<PackGroup<T>> End() => Take(keepsLast: false);

        // The last group may grow yet, unless it is the only one.
        private List<PackGroup<T>> Take(bool keepsLast)
        {
            var groups = ByteRangeGroup.Coalesce(_items.ConvertAll(item => item.Range), maxGapBytes, requestBytes);
            var kept = keepsLast && groups.Length > 1 ? groups[^1].Members : [];
            var taken = groups[..^(kept.IsEmpty ? 0 : 1)].Select(GroupOf).ToList();
            _items = [.. kept.Select(i => _items[i])];
            _bytes = _items.Sum(item => item.Range.Length);
            return taken;
        }

        private PackGroup<T> GroupOf(ByteRangeGroup group) => group.Members is [var only]
            ? PackGroup<T>.Of(_items[only].Item)
            : new(pack, group.Extent, [.. group.Members.Select(i => (_items[i].Item, _items[i].Range.Offset - group.Extent.Offset))]);
    }
}

/// <summary>What one request to a pack brings; or, where there is no pack, one item that is read from its own shard.</summary>
/// <param name="Pack">The pack.</param>
/// <param name="Range">The pack's bytes that are asked for.</param>
/// <param name="Members">The items in the order of their places, and where in the range each begins.</param>
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
