using CsCheck;

namespace CloudShards.Formats.Tests;

public sealed class TensorShapeTests
{
    [Theory]
    [InlineData(new long[0], 1)]
    [InlineData(new long[] { 0 }, 0)]
    [InlineData(new long[] { 7 }, 7)]
    [InlineData(new long[] { 2, 3, 4 }, 24)]
    [InlineData(new long[] { 2, 0, 4 }, 0)]
    [InlineData(new long[] { 1L << 40, 1L << 40, 0 }, 0)]
    [InlineData(new long[] { long.MaxValue }, long.MaxValue)]
    [InlineData(new long[] { 1L << 31, 1L << 31 }, 1L << 62)]
    public void ItCountsItsElements(long[] sizes, long elements) => Assert.Equal(elements, TensorShape.Create(sizes).ElementCount());

    [Theory]
    [InlineData(new long[] { 1L << 32, 1L << 31 })]
    [InlineData(new long[] { long.MaxValue, 2 })]
    [InlineData(new long[] { 3, long.MaxValue / 2 })]
    public void MoreElementsThanFitIn63BitsOverflow(long[] sizes)
    {
        var shape = TensorShape.Create(sizes);

        Assert.Throws<OverflowException>(() => shape.ElementCount());
        Assert.Throws<OverflowException>(() => shape.ByteCount(TensorDType.U8));
    }

    [Theory]
    [InlineData(TensorDType.U8, 6)]
    [InlineData(TensorDType.F32, 24)]
    [InlineData(TensorDType.C128, 96)]
    [InlineData(TensorDType.F4, 3)]
    public void ItCountsThePackedBytes(TensorDType dtype, long bytes) => Assert.Equal(bytes, new TensorShape([2, 3]).ByteCount(dtype));

    [Fact]
    public void MoreBytesThanFitIn63BitsOverflow() =>
        Assert.Throws<OverflowException>(() => new TensorShape([1L << 60]).ByteCount(TensorDType.F64));

    [Fact]
    public void ANegativeSizeIsRefused() => Assert.Throws<ArgumentOutOfRangeException>(() => new TensorShape([2, -1]));

    [Fact]
    public void AScalarIsTheDefault()
    {
        Assert.Equal(new TensorShape([]), default);
        Assert.Equal(new TensorShape([]), new TensorShape(default));
        Assert.Equal(0, default(TensorShape).Rank);
        Assert.Equal(1, default(TensorShape).ElementCount());
        Assert.Equal("[]", default(TensorShape).ToString());
    }

    [Fact]
    public void EqualityIsThatOfTheSizes() => Gen.Long[0, 3].Array[0, 3].Select(Gen.Long[0, 3].Array[0, 3]).Sample((left, right) =>
    {
        var (a, b) = (TensorShape.Create(left), TensorShape.Create(right));
        Assert.Equal(left.SequenceEqual(right), a == b);
        Assert.Equal(left.SequenceEqual(right), a.Equals((object)b));
        Assert.Equal(a != b, !a.Equals(b));
        Assert.Equal(left, a);
        Assert.True(a != b || a.GetHashCode() == b.GetHashCode());
    });

    [Fact]
    public void ItIsShownAsAList() => Assert.Equal("[4096, 1024]", new TensorShape([4096, 1024]).ToString());
}
