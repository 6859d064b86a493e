using CloudShards.Formats;

namespace CloudShards.Tests;

public sealed class TensorSliceTests
{
    public static TheoryData<TensorDType, long[], Range[], long[], string> Slices => new()
    {
        { TensorDType.F32, [], [], [], "0..4" },
        { TensorDType.F32, [10], [], [10], "0..40" },
        { TensorDType.F32, [10], [2..5], [3], "8..20" },
        { TensorDType.F32, [10], [^3..], [3], "28..40" },
        { TensorDType.F32, [10], [4..4], [0], "" },
        { TensorDType.F32, [10], [10..10], [0], "" },
        { TensorDType.F32, [10, 3], [2..5], [3, 3], "24..60" },
        { TensorDType.F32, [10, 3], [2..5, Range.All], [3, 3], "24..60" },
        { TensorDType.F32, [10, 3], [2..5, 0..3], [3, 3], "24..60" },
        { TensorDType.F32, [10, 3], [4..5, 1..3], [1, 2], "52..60" },
        { TensorDType.F32, [10, 3], [Range.All, 1..1], [10, 0], "" },
        { TensorDType.F32, [3, 4], [Range.All, 1..3], [3, 2], "4..12 20..28 36..44" },
        { TensorDType.F32, [3, 4], [1..3, ^1..], [2, 1], "28..32 44..48" },
        { TensorDType.U8, [2, 3, 4], [Range.All, 1..3], [2, 2, 4], "4..12 16..24" },
        { TensorDType.U8, [2, 3, 4], [Range.All, Range.All, 3..4], [2, 3, 1], "3..4 7..8 11..12 15..16 19..20 23..24" },
        { TensorDType.U8, [2, 3, 4], [Range.All, 0..2, 2..4], [2, 2, 2], "2..4 6..8 14..16 18..20" },
        { TensorDType.U8, [2, 1, 4], [Range.All, Range.All, 1..2], [2, 1, 1], "1..2 5..6" },
        { TensorDType.BF16, [8, 10, 3], [2..3, 1..4, Range.All], [1, 3, 3], "126..144" },
        { TensorDType.BF16, [8, 10, 3], [2..3, 1..2, 2..3], [1, 1, 1], "130..132" },
        { TensorDType.BF16, [1, 10, 3], [Range.All, 1..4], [1, 3, 3], "6..24" },
        { TensorDType.F32, [0, 3], [Range.All, Range.All], [0, 3], "" },
        { TensorDType.F4, [4, 3], [2..4], [2, 3], "3..6" },
        { TensorDType.F4, [2, 4], [Range.All, 2..4], [2, 2], "1..2 3..4" },
        { TensorDType.U8, [3L << 32, 2], [^1..], [1, 2], "25769803774..25769803776" },
    };

    [Theory]
    [MemberData(nameof(Slices))]
    public void ASliceIsTheseRunsOfBytes(TensorDType dtype, long[] shape, Range[] ranges, long[] sliced, string runs)
    {
        var slice = TensorSlice.Of(Tensor(dtype, shape), ranges);

        Assert.Equal(sliced, slice.Shape);
        Assert.Equal(slice.Shape.ByteCount(dtype), slice.Bytes);
        Assert.Equal(runs, string.Join(' ', new ReadPlanner(int.MaxValue, 1, 0).Plan(slice, new(0, slice.Bytes)).Select(request => request.Range)));
    }

    public static TheoryData<TensorDType, long[], Range[]> Refused => new()
    {
        { TensorDType.F32, [], [Range.All] },
        { TensorDType.F32, [10], [Range.All, Range.All] },
        { TensorDType.F32, [10], [0..11] },
        { TensorDType.F32, [10], [5..4] },
        { TensorDType.F32, [10], [^11..] },
        { TensorDType.F32, [10, 3], [Range.All, 1..4] },
        { TensorDType.F4, [4, 3], [1..4] },
        { TensorDType.F4, [4, 3], [0..1] },
        { TensorDType.F4, [4, 3], [Range.All, 0..2] },
        { TensorDType.F6E2M3, [4, 4], [Range.All, 1..3] },
    };

    [Theory]
    [MemberData(nameof(Refused))]
    public void WhatDoesNotFitTheTensorIsRefused(TensorDType dtype, long[] shape, Range[] ranges)
    {
        var refused = Assert.ThrowsAny<ArgumentException>(() => TensorSlice.Of(Tensor(dtype, shape), ranges));

        Assert.Contains("`layer.weight`", refused.Message, StringComparison.Ordinal);
    }

    private static ShardedTensor Tensor(TensorDType dtype, long[] shape)
    {
        var sizes = TensorShape.Create(shape);
        return new("layer.weight", dtype, sizes, sizes.ByteCount(dtype), Digest.Of([]), []);
    }
}
