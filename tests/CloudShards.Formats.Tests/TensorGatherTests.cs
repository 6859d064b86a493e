using CloudShards.Formats.Tests.Files;
using CsCheck;

namespace CloudShards.Formats.Tests;

public sealed class TensorGatherTests
{
    private static readonly TensorDType[] WholeBytes = [.. Enum.GetValues<TensorDType>().Where(dtype => dtype.Bits() % 8 == 0)];

    private static readonly Gen<TensorInfo> Tensors = Gen.Select(
        Gen.Int[0, WholeBytes.Length - 1],
        Gen.Select(Gen.Long[1, 5], Gen.Long[0, 12]).Array[0, 4],
        Gen.Long[0, 7],
        Gen.Int[0, 7],
        Gen.Bool,
        (type, dimensions, offset, transform, rowMajor) =>
        {
            var dtype = WholeBytes[type];
            long[] sizes = [.. dimensions.Select(dimension => dimension.Item1)];
            long[] strides = rowMajor ? PickleBytes.RowMajor(sizes) : [.. dimensions.Select(dimension => dimension.Item2)];
            var elements = offset + sizes.Zip(strides, (size, stride) => (size - 1) * stride).Sum() + 1;
            return new TensorInfo("t", dtype, TensorShape.Create(sizes), new()
            {
                Extent = new(13, elements * dtype.Bits() / 8),
                ElementOffset = offset,
                Strides = rowMajor && offset % 2 == 0 ? default : [.. strides],
                Transform = (ElementTransform)transform,
            });
        });

    [Fact]
    public void WindowsAndBlocksOfAnySizeGiveTheTensor() => Gen.Select(Tensors, Gen.Int[1, 40], Gen.Int[1, 40], Gen.Int).Sample((tensor, windowElements, blockElements, seed) =>
    {
        var file = new byte[tensor.Layout.Extent.End + 5];
        new Random(seed).NextBytes(file);

        Assert.Equal(NaiveGather.Gather(tensor, file), Gather(tensor, file, windowElements, blockElements));
    });

    // PyTorch's lazy neg view over every kind of number; of a bool it flips the bit, as the table of torch.neg has no bools.
    [Theory]
    [InlineData(TensorDType.I8, new byte[] { 1 }, new byte[] { 255 })]
    [InlineData(TensorDType.I16, new byte[] { 0, 1 }, new byte[] { 0, 255 })]
    [InlineData(TensorDType.I32, new byte[] { 0, 0, 0, 0x80 }, new byte[] { 0, 0, 0, 0x80 })]
    [InlineData(TensorDType.U8, new byte[] { 1 }, new byte[] { 255 })]
    [InlineData(TensorDType.F32, new byte[] { 0, 0, 0x80, 0x3f }, new byte[] { 0, 0, 0x80, 0xbf })]
    [InlineData(TensorDType.C64, new byte[] { 0, 0, 0x80, 0x3f, 0, 0, 0, 0xc0 }, new byte[] { 0, 0, 0x80, 0xbf, 0, 0, 0, 0x40 })]
    public void NegationIsThatOfTheDType(TensorDType dtype, byte[] stored, byte[] shown)
    {
        ArgumentNullException.ThrowIfNull(stored);
        var tensor = new TensorInfo("t", dtype, new([]), new() { Extent = new(0, stored.Length), Transform = ElementTransform.Negate });

        Assert.Equal(shown, Gather(tensor, stored, 1, 1));
    }

    [Theory]
    [InlineData(TensorDType.F4)]
    [InlineData(TensorDType.F6E2M3)]
    public void ElementsThatShareBytesAreNotGathered(TensorDType dtype) => Assert.Throws<ArgumentException>(
        () => new TensorGather(new("t", dtype, new([4]), new() { Extent = new(0, 3) })));

    [Fact]
    public void AWindowLiesWithinTheTensor()
    {
        var gather = new TensorGather(new("t", TensorDType.F32, new([2, 3]), new() { Extent = new(0, 24) }));

        Assert.Equal(new ByteRange(0, 24), gather.SourceOf(0, 6));
        Assert.Throws<ArgumentOutOfRangeException>(() => gather.SourceOf(0, 7));
        Assert.Throws<ArgumentOutOfRangeException>(() => gather.SourceOf(6, 1));
        Assert.Throws<ArgumentOutOfRangeException>(() => gather.SourceOf(-1, 1));
        Assert.Throws<ArgumentOutOfRangeException>(() => gather.SourceOf(0, 0));
    }

    [Fact]
    public void AnEmptyTensorHasNoWindow()
    {
        var gather = new TensorGather(new("t", TensorDType.F32, new([2, 0]), new() { Extent = new(0, 24), Strides = [1, 1] }));

        Assert.Throws<ArgumentOutOfRangeException>(() => gather.SourceOf(0, 1));
    }

    // Two rows eight mebibytes apart: of what lies between, nothing is read.
    [Fact]
    public void ScatteredElementsAreReadOneByOne()
    {
        const int Row = 8 << 20;
        var gather = new TensorGather(new("t", TensorDType.F32, new([2, 3]), new() { Extent = new(8, Row + 12), Strides = [Row / 4, 1] }));

        Assert.Equal([new(8, 12), new(8 + Row, 12)], gather.BlocksOf(0, 6, 4 << 20));
        Assert.Equal([new(8, 12)], gather.BlocksOf(0, 3, 4 << 20));
    }

    [Fact]
    public void BlocksOfAViewGiveIt()
    {
        const int Gap = TensorGather.MaxGap;
        var tensor = new TensorInfo("t", TensorDType.U8, new([5, 2]), new() { Extent = new(3, 12 * Gap), Strides = [(2 * Gap) + 1, Gap] });
        var file = new byte[(12 * Gap) + 3];
        new Random(1).NextBytes(file);
        var (gather, window, read) = (new TensorGather(tensor), new byte[10], 0L);

        foreach (var block in gather.BlocksOf(0, 10, 1 << 20))
        {
            gather.Gather(0, window, block.Offset, file.AsSpan((int)block.Offset, (int)block.Length));
            read += block.Length;
        }

        Assert.Equal(NaiveGather.Gather(tensor, file), window);
        Assert.InRange(read, 10, file.Length);
    }

    // A hash code that folds a long's halves onto each other is the same for all of these.
    [Fact]
    public void LayoutsAndShapesAreToldApartByAllTheirBits()
    {
        var numbers = Enumerable.Range(1, 1000).Select(i => ((long)i << 32) | (uint)i).ToList();

        Assert.InRange(numbers.Select(number => new TensorShape([0, number]).GetHashCode()).Distinct().Count(), 990, 1000);
        Assert.InRange(numbers.Select(number => new ByteRange(number, 1).GetHashCode()).Distinct().Count(), 990, 1000);
        Assert.InRange(numbers.Select(number => new ByteRange(1, number).GetHashCode()).Distinct().Count(), 990, 1000);
        Assert.InRange(numbers.Select(number => new TensorLayout { Extent = new(0, number) }.GetHashCode()).Distinct().Count(), 990, 1000);
        Assert.InRange(numbers.Select(number => new TensorLayout { Extent = default, ElementOffset = number }.GetHashCode()).Distinct().Count(), 990, 1000);
        Assert.InRange(numbers.Select(number => new TensorLayout { Extent = default, Strides = [number] }.GetHashCode()).Distinct().Count(), 990, 1000);
    }

    private static byte[] Gather(TensorInfo tensor, byte[] file, int windowElements, int blockElements)
    {
        var gather = new TensorGather(tensor);
        var gathered = new byte[tensor.Bytes];
        var elements = tensor.Shape.ElementCount();
        for (long first = 0; first < elements; first += windowElements)
        {
            var count = (int)Math.Min(windowElements, elements - first);
            var window = gathered.AsSpan((int)first * gather.ElementBytes, count * gather.ElementBytes);
            var source = gather.SourceOf(first, count);
            Assert.True(source.Offset >= tensor.Layout.Extent.Offset && source.End <= tensor.Layout.Extent.End, $"{source}");
            for (var offset = source.Offset; offset < source.End; offset += blockElements * gather.ElementBytes)
            {
                var length = (int)Math.Min(blockElements * gather.ElementBytes, source.End - offset);
                gather.Gather(first, window, offset, file.AsSpan((int)offset, length));
            }

            gather.Finish(window);
        }

        return gathered;
    }
}
