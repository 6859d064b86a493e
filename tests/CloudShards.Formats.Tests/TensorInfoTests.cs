namespace CloudShards.Formats.Tests;

public sealed class TensorInfoTests
{
    [Theory]
    [InlineData(new long[] { 2, 3 }, null, 0, 100, 24)]
    [InlineData(new long[] { 2, 3 }, new long[] { 3, 1 }, 0, 100, 24)]
    [InlineData(new long[] { 2, 3 }, new long[] { 3, 1 }, 5, 120, 24)]
    [InlineData(new long[] { 1, 3 }, new long[] { 99, 1 }, 2, 108, 12)]
    [InlineData(new long[] { 3, 1 }, new long[] { 1, 77 }, 0, 100, 12)]
    [InlineData(new long[0], new long[0], 4, 116, 4)]
    [InlineData(new long[] { 2, 0 }, new long[] { 9, 9 }, 0, 100, 0)]
    public void ARowMajorTensorHasOneRange(long[] sizes, long[]? strides, long elementOffset, long offset, long bytes) =>
        Assert.Equal(new ByteRange(offset, bytes), Tensor(sizes, strides, elementOffset).Contiguous);

    [Theory]
    [InlineData(new long[] { 3, 2 }, new long[] { 1, 3 })]
    [InlineData(new long[] { 2, 3 }, new long[] { 6, 2 })]
    [InlineData(new long[] { 2, 3 }, new long[] { 0, 1 })]
    [InlineData(new long[] { 2 }, new long[] { 0 })]
    [InlineData(new long[] { 2, 3 }, new long[] { 4, 1 })]
    public void AScatteredTensorHasNone(long[] sizes, long[] strides) => Assert.Null(Tensor(sizes, strides, 0).Contiguous);

    [Theory]
    [InlineData(ElementTransform.SwapBytes)]
    [InlineData(ElementTransform.Conjugate)]
    [InlineData(ElementTransform.Negate)]
    public void ATransformedTensorHasNone(ElementTransform transform)
    {
        var tensor = Tensor([2, 3], null, 0);

        Assert.Null((tensor with { Layout = tensor.Layout with { Transform = transform } }).Contiguous);
    }

    [Fact]
    public void LayoutsAreEqualByTheirNumbers()
    {
        var layout = Tensor([2, 3], [3, 1], 1).Layout;

        Assert.Equal(layout, Tensor([2, 3], [3, 1], 1).Layout);
        Assert.Equal(layout.GetHashCode(), Tensor([2, 3], [3, 1], 1).Layout.GetHashCode());
        Assert.NotEqual(layout, Tensor([2, 3], [1, 2], 1).Layout);
        Assert.NotEqual(layout, Tensor([2, 3], null, 1).Layout);
        Assert.NotEqual(layout, layout with { Transform = ElementTransform.Negate });
    }

    [Fact]
    public void LayoutsThatDifferInStridesDifferInHash()
    {
        var hashes = Enumerable.Range(0, 100).Select(stride => Tensor([1], [stride], 0).Layout.GetHashCode());

        Assert.InRange(hashes.Distinct().Count(), 90, 100);
    }

    private static TensorInfo Tensor(long[] sizes, long[]? strides, long elementOffset) => new(
        "t",
        TensorDType.F32,
        TensorShape.Create(sizes),
        new()
        {
            Extent = new(100, 4000),
            ElementOffset = elementOffset,
            Strides = strides is null ? default : [.. strides],
        });
}
