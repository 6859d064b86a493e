using static TorchSharp.torch;

namespace CloudShards.Tests;

public sealed class TensorMemoryTests
{
    [Fact]
    public void ItIsTheTensorsOwnMemory()
    {
        using var tensor = zeros(6, dtype: ScalarType.Byte);

        TensorMemory.Slice(tensor, 2, 3).Span.Fill(7);

        Assert.Equal([0, 0, 7, 7, 7, 0], Models.BytesOf(tensor));
    }

    [Fact]
    public void ASliceOfATensorBeginsWhereTheSliceDoes()
    {
        using var whole = arange(12, dtype: ScalarType.Byte).view(3, 4);
        using var row = whole[1];

        Assert.Equal([4, 5, 6, 7], TensorMemory.Slice(row, 0, 4).ToArray());
    }

    [Fact]
    public void ATensorWithoutElementsHasNone()
    {
        using var tensor = zeros(3, 0);

        Assert.True(TensorMemory.Slice(tensor, 0, 0).IsEmpty);
    }

    [Fact]
    public unsafe void PinnedMemoryIsWhereTheTensorIs()
    {
        using var tensor = arange(6, dtype: ScalarType.Byte);

        using var handle = TensorMemory.Slice(tensor, 2, 3)[1..].Pin();

        Assert.Equal(3, *(byte*)handle.Pointer);
    }
}
