using System.Collections.Immutable;
using CloudShards.Formats;

namespace CloudShards.Cli.Tests;

public sealed class ModuleTreeTests
{
    [Fact]
    public void ModulesStandWhereTheyFirstOccurAndHoldAllThatIsTheirs() =>
        Assert.Equal(
            ["b (2)", "  x", "  y", "a"],
            Lines("b.x", "a", "b.y"));

    [Fact]
    public void AModuleOfOneThingIsWrittenTogetherWithIt() =>
        Assert.Equal(
            ["model.layers (3)", "  0 (2)", "    q.weight", "    k.weight", "  1.q.weight"],
            Lines("model.layers.0.q.weight", "model.layers.0.k.weight", "model.layers.1.q.weight"));

    [Fact]
    public void ATensorMayHaveTheNameOfAModule() => Assert.Equal(["a", "a.b"], Lines("a", "a.b"));

    [Fact]
    public void AModuleSumsTheBytesOfAllThatIsBelow()
    {
        var row = ModuleTree.Of([Tensor("m.a", 3), Tensor("m.n.b", 4), Tensor("m.n.c", 5)]).Rows().First();

        Assert.Equal(("m", null, 3, 12), (row.Label, row.Tensor, row.Tensors, (int)row.Bytes));
    }

    [Fact]
    public void NamesOfThousandsOfPartsAreNotIndentedBeyondSight()
    {
        var many = string.Join('.', Enumerable.Repeat("a", 10_000));

        var rows = ModuleTree.Of([Tensor($"{many}.x", 1), Tensor($"{many}.y", 1)]).Rows().ToArray();

        Assert.Equal(3, rows.Length);
        Assert.InRange(rows.Max(row => row.Depth), 1, 16);
    }

    [Fact]
    public void NamesMadeToHaveAModuleEachTakeBoundedMemory()
    {
        // Fourteen modules a tensor, none of them shared.
        ImmutableArray<TensorInfo> tensors =
        [
            .. Enumerable.Range(0, 200_000).Select(i => Tensor(string.Join('.', Enumerable.Range(0, 15).Select(part => $"{part}-{i}")), 1)),
        ];
        var before = GC.GetAllocatedBytesForCurrentThread();

        var tree = ModuleTree.Of(tensors);

        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 300 << 20);
        Assert.Equal(tensors.Length, tree.Rows().Count(row => row.Tensor is not null));
    }

    private static IEnumerable<string> Lines(params IEnumerable<string> names) =>
        from row in ModuleTree.Of([.. names.Select(name => Tensor(name, 1))]).Rows()
        select new string(' ', 2 * row.Depth) + row.Label + (row.Tensor is null ? $" ({row.Tensors})" : "");

    private static TensorInfo Tensor(string name, long bytes) => new(name, TensorDType.U8, [bytes], new() { Extent = new(0, bytes) });
}
