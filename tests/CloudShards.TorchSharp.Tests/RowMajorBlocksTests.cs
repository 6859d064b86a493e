using CsCheck;

namespace CloudShards.Tests;

public sealed class RowMajorBlocksTests
{
    private static readonly Gen<(long[] Shape, long Start, long Count)> Runs =
        from shape in Gen.Long[1, 5].Array[1, 5]
        let elements = shape.Aggregate(1L, (product, size) => product * size)
        from start in Gen.Long[0, elements]
        from count in Gen.Long[0, elements - start]
        select (shape, start, count);

    [Fact]
    public void BlocksHoldTheElementsOfARunInOrder() => Runs.Sample(run =>
    {
        var elements = RowMajorBlocks.Of(run.Shape, run.Start, run.Count).SelectMany(block => ElementsOf(run.Shape, block)).ToList();
        Assert.Equal(Enumerable.Range(0, (int)run.Count).Select(i => run.Start + i), elements);
    });

    [Fact]
    public void ARunHasAtMostTwoBlocksForEachDimension() => Runs.Sample(run =>
        Assert.InRange(RowMajorBlocks.Of(run.Shape, run.Start, run.Count).Count(), 0, (2 * run.Shape.Length) - 1));

    [Fact]
    public void AWholeTensorIsOneBlock()
    {
        var block = Assert.Single(RowMajorBlocks.Of([4, 5, 6], 0, 120));

        Assert.Empty(block.Outer);
        Assert.Equal((0, 4, 120), (block.First, block.Count, block.Elements));
    }

    private static IEnumerable<long> ElementsOf(long[] shape, RowMajorBlock block)
    {
        long index = 0;
        for (var dimension = 0; dimension < block.Outer.Length; dimension++)
        {
            index = (index * shape[dimension]) + block.Outer[dimension];
        }

        var rowElements = block.Elements / block.Count;
        var first = ((index * shape[block.Outer.Length]) + block.First) * rowElements;
        return Enumerable.Range(0, (int)block.Elements).Select(i => first + i);
    }
}
