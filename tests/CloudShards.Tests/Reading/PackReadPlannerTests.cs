using System.Collections.Immutable;
using CloudShards.Formats;
using CsCheck;

namespace CloudShards.Tests;

public sealed class PackReadPlannerTests
{
    /// <summary>
    /// A pack's tensors by offset and length; those that are wanted, in this order (an unknown one is in no pack); bytes of a request and of a gap; and what
    /// is asked: <c>range: tensors at their offsets</c> of a pack, or a tensor by itself.
    /// </summary>
    public static TheoryData<string, string, long, int, string> Groups => new()
    {
        { "0+10 10+10 20+10", "0 1 2", 100, 0, "0..30: 0@0 1@10 2@20" },
        { "0+10 10+10 20+10", "2 0 1", 100, 0, "0..30: 0@0 1@10 2@20" },
        { "0+10 10+10 20+10", "1", 100, 0, "1" },
        { "0+10 10+10 20+10", "0 2", 100, 9, "0; 2" },
        { "0+10 10+10 20+10", "0 2", 100, 10, "0..30: 0@0 2@20" },
        { "0+10 10+10 20+10", "0 large 1 2 x", 100, 0, "large; 0..30: 0@0 1@10 2@20; x" },
        { "0+10 10+10 20+10", "large 0 x 1", 100, 0, "large; x; 0..20: 0@0 1@10" },
        { "0+10 10+10 20+10", "0 1 2", 20, 0, "0..20: 0@0 1@10; 2" },
        { "0+10 10+10 20+10", "0 1 2", 5, 0, "0; 1; 2" },
        { "0+10 0+10 10+10", "1 2 0", 100, 0, "0..20: 1@0 0@0 2@10" },
        { "0+10 5+10", "0 1", 100, 0, "0..15: 0@0 1@5" },
        { "0+10 10+0 10+10", "1 0 2", 100, 0, "1; 0..20: 0@0 2@10" },
        { "10+0", "0", 100, 0, "0" },
        { "0+10 10+10 20+10 30+10 40+10 50+10", "0 1 2 3 5 4", 20, 0, "0..20: 0@0 1@10; 20..40: 2@20 3@30; 40..60: 4@40 5@50" },
        { "0+10 10+10 20+10 30+10 40+10 50+10", "5 0 4 1 3 2", 20, 0, "0..20: 0@0 1@10; 20..40: 2@20 3@30; 40..60: 4@40 5@50" },
        { "0+10 10+10", "0 0 0", 100, 0, "0..10: 0@0 0@0; 0" },
        { "1152921504606846976+1073741824 0+1073741824", "0 1", 8 << 20, 0, "0; 1" },
        { "0+1073741824 0+1073741824", "0 1", 8 << 20, 1 << 20, "0; 1" },
    };

    [Theory]
    [MemberData(nameof(Groups))]
    public void WhatIsWantedBecomesTheseRequests(string pack, string wanted, long requestBytes, int maxGapBytes, string groups)
    {
        var (manifest, tensors) = Pack(pack);
        var planner = new PackReadPlanner([manifest], requestBytes, maxGapBytes);

        Assert.Equal(groups, string.Join("; ", planner.Group(wanted.Split(' '), tensors.GetValueOrDefault).Select(Text)));
    }

    [Fact]
    public void PacksAreGatheredEachByItself()
    {
        var (first, tensors) = Pack("0+10 10+10 20+10");
        var (second, others) = Pack("0+10 10+10", from: 3);
        foreach (var (name, tensor) in others)
        {
            tensors[name] = tensor;
        }

        var planner = new PackReadPlanner([first, second], 100, 0);

        Assert.Equal("0..20: 3@0 4@10; 0..20: 0@0 1@10", string.Join("; ", planner.Group(["0", "3", "1", "4"], tensors.GetValueOrDefault).Select(Text)));
    }

    [Fact]
    public void ATensorOfTwoPacksIsReadFromTheFirst()
    {
        var (first, tensors) = Pack("0+10 10+10");
        var (second, _) = Pack("500+10 510+10");

        var group = Assert.Single(new PackReadPlanner([first, second], 100, 0).Group(["0", "1"], tensors.GetValueOrDefault));

        Assert.Same(first, group.Pack);
    }

    [Fact]
    public void WithoutPacksEverythingPassesAndNothingIsAskedOfIt()
    {
        foreach (var packs in (ImmutableArray<ManifestPack>[])[default, []])
        {
            var groups = new PackReadPlanner(packs, 100, 0).Group<string>(["a", "b"], _ => throw new InvalidOperationException());
            Assert.Equal(["a", "b"], groups.Select(Text));
        }
    }

    [Fact]
    public void LargeTensorsPassAtOnceAndNoMoreIsGatheredThanTwoRequests()
    {
        var (pack, tensors) = Pack(string.Join(' ', Enumerable.Range(0, 1000).Select(i => $"{10 * i}+10")));
        var taken = 0;
        IEnumerable<string> Items()
        {
            for (var i = 0; i < 500; i++)
            {
                taken++;
                yield return $"large{i}";
                taken++;
                yield return $"{i}";
            }
        }

        using var groups = new PackReadPlanner([pack], 100, 0).Group(Items(), tensors.GetValueOrDefault).GetEnumerator();
        Assert.True(groups.MoveNext());
        Assert.Equal((1, "large0"), (taken, Text(groups.Current)));
        var given = 1;
        while (groups.MoveNext())
        {
            given += groups.Current.Members.Length;
            Assert.InRange(taken - given, 0, 20);
        }

        Assert.Equal((1000, 1000), (taken, given));
    }

    [Fact]
    public void AllOfAPackInAnyOrderIsReadWithoutAByteTooMany() =>
        Gen.Shuffle(Enumerable.Range(0, 90).ToArray()).Sample(order =>
        {
            var (pack, tensors) = Pack(string.Join(' ', Enumerable.Range(0, 90).Select(i => $"{10 * i}+10")));

            var groups = new PackReadPlanner([pack], 500, 1000).Group(order.Select(i => $"{i}"), tensors.GetValueOrDefault).ToList();

            Assert.Equal(["0..500", "500..900"], groups.Select(group => group.Range.ToString()));
        });

    [Fact]
    public void EveryItemIsInOneGroupAndGroupsKeepTheirBounds() =>
        Gen.Select(Gen.Select(Gen.Long[0, 1500], Gen.Long[0, 120]).Array[1, 60], Gen.Int[0, 70].Array[0, 80], Gen.Long[1, 400], Gen.Int[0, 100])
            .Sample((places, wanted, requestBytes, maxGapBytes) =>
            {
                var (pack, tensors) = Pack(string.Join(' ', places.Select(place => $"{place.Item1}+{place.Item2}")));

                var groups = new PackReadPlanner([pack], requestBytes, maxGapBytes).Group(wanted.Index(), item => tensors.GetValueOrDefault($"{item.Item}")).ToList();

                Assert.Equal(Enumerable.Range(0, wanted.Length), groups.SelectMany(group => group.Members.Select(member => member.Item.Index)).Order());
                foreach (var group in groups.Where(group => group.Pack is not null))
                {
                    Assert.InRange(group.Members.Length, 2, int.MaxValue);
                    Assert.InRange(group.Range.Length, 1, requestBytes);
                    Assert.InRange(group.GapBytes(item => places[item.Item].Item2), 0, (long)maxGapBytes * (group.Members.Length - 1));
                    Assert.All(group.Members, member =>
                    {
                        var (offset, length) = places[member.Item.Item];
                        Assert.Equal(offset, group.Range.Offset + member.Offset);
                        Assert.InRange(offset + length, 1, group.Range.End);
                    });
                }
            });

    private static string Text(PackGroup<string> group) => group.Pack is null
        ? Assert.Single(group.Members).Item
        : $"{group.Range}: {string.Join(' ', group.Members.Select(member => $"{member.Item}@{group.Range.Offset + member.Offset}"))}";

    private static (ManifestPack Pack, Dictionary<string, ShardedTensor> Tensors) Pack(string places, int from = 0)
    {
        var ranges = places.Split(' ').Select(place => place.Split('+').Select(long.Parse).ToArray()).ToList();
        var tensors = ranges.Select((range, i) => new ShardedTensor($"{from + i}", TensorDType.U8, [range[1]], range[1], Digest.Of([]), [])).ToList();
        var known = tensors.ToDictionary(tensor => tensor.Name);
        known["large"] = new("large", TensorDType.U8, [5], 5, Digest.Of([]), []);
        return (new(Digest.Of([(byte)from]), 1L << 62, [.. tensors.Zip(ranges, (tensor, range) => new PackedTensor(tensor.Name, range[0]))]), known);
    }
}
