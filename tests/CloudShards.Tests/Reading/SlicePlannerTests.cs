using CloudShards.Formats;
using CsCheck;

namespace CloudShards.Tests;

public sealed class SlicePlannerTests
{
    private static readonly Gen<(long Size, int From, int To)> Dimension =
        Gen.Select(Gen.Int[1, 7], Gen.Int[0, 7], Gen.Int[0, 7]).Select((size, a, b) => ((long)size, Math.Min(Math.Min(a, b), size), Math.Min(Math.Max(a, b), size)));

    // A tensor of U8 [4, 10], so rows are 10 bytes; requests as in `asked(packed)`.
    [Theory]
    [InlineData(0, 10, 0, 0, 40, "0..40(0..40)")]
    [InlineData(2, 5, 0, 0, 12, "2..5(0..3) 12..15(3..6) 22..25(6..9) 32..35(9..12)")]
    [InlineData(2, 5, 6, 0, 12, "2..5(0..3) 12..15(3..6) 22..25(6..9) 32..35(9..12)")]
    [InlineData(2, 5, 7, 0, 12, "2..35(0..12)")]
    [InlineData(2, 5, 7, 1, 11, "3..34(1..11)")]
    [InlineData(2, 5, 7, 2, 4, "4..13(2..4)")]
    [InlineData(2, 5, 0, 2, 4, "4..5(2..3) 12..13(3..4)")]
    [InlineData(9, 10, 9, 0, 4, "9..40(0..4)")]
    public void ASliceBecomesTheseRequests(int from, int to, int maxGap, long first, long end, string requests)
    {
        var slice = TensorSlice.Of(Tensor([4, 10]), [Range.All, from..to]);

        var planned = new ReadPlanner(100, 100, maxGap).Plan(slice, new(first, end - first));

        Assert.Equal(requests, string.Join(' ', planned.Select(request => $"{request.Range}({request.Packed})")));
    }

    // U8 [2, 3, 10]: gaps of 7 between rows, of 17 between the matrices.
    [Theory]
    [InlineData(6, 4, 0)]
    [InlineData(7, 2, 14)]
    [InlineData(16, 2, 14)]
    [InlineData(17, 1, 31)]
    public void AGapIsReadOverWhereItIsShortEnough(int maxGap, int requests, int overRead)
    {
        var slice = TensorSlice.Of(Tensor([2, 3, 10]), [Range.All, 0..2, 2..5]);
        var planned = new ReadPlanner(100, 100, maxGap).Plan(slice, new(0, slice.Bytes)).ToList();

        Assert.Equal((requests, overRead), (planned.Count, planned.Sum(request => request.Range.Length - request.Packed.Length)));
    }

    [Fact]
    public void ColumnsOfALongTensorAreCutBetweenChunks()
    {
        var slice = TensorSlice.Of(Tensor([100, 10]), [Range.All, 2..5]);

        var planned = new ReadPlanner(100, 300, 1_000).Plan(slice, new(0, slice.Bytes)).ToList();

        Assert.Equal(["2..300", "300..600", "600..900", "900..995"], planned.Select(request => request.Range.ToString()));
        Assert.Equal(slice.Bytes, planned.Sum(request => request.Packed.Length));
    }

    [Fact]
    public void AnySliceInAnyWindowIsWhatANaiveSliceIs() =>
        Gen.Select(Dimension.List[1, 4], Gen.Int[1, 40], Gen.Int[1, 100], Gen.Int[0, 60], Gen.Double.Unit, Gen.Double.Unit, Gen.Int[1, 9]).Sample(
            (dimensions, chunkBytes, maxRequestBytes, maxGap, from, to, pieceBytes) =>
            {
                var tensor = Tensor([.. dimensions.Select(dimension => dimension.Size)]);
                var content = Enumerable.Range(0, (int)tensor.Bytes).Select(i => (byte)i).ToArray();
                var slice = TensorSlice.Of(tensor, dimensions.Select(dimension => dimension.From..dimension.To).ToArray());
                var expected = Naive(dimensions, content);
                Assert.Equal(expected.Length, slice.Bytes);
                var first = (int)(Math.Min(from, to) * expected.Length);
                var window = new byte[(int)(Math.Max(from, to) * expected.Length) - first];

                var planner = new ReadPlanner(chunkBytes, maxRequestBytes, maxGap);
                var asked = 0L;
                var (requests, runs) = (planner.Plan(slice, new(first, window.Length)).ToList(), new ReadPlanner(chunkBytes, maxRequestBytes, 0));
                foreach (var request in requests)
                {
                    Assert.InRange(request.Range.Length, 1, planner.RequestBytes);
                    Assert.InRange(request.Packed.Length, 1, request.Range.Length);
                    Assert.True(request.Range.Offset >= asked);
                    asked = request.Range.End;
                    var picking = new SlicePicking(slice, request, window.AsMemory((int)(request.Packed.Offset - first), (int)request.Packed.Length));
                    foreach (var piece in content[(int)request.Range.Offset..(int)request.Range.End].Chunk(pieceBytes))
                    {
                        picking.Take(piece);
                    }
                }

                Assert.Equal(expected[first..(first + window.Length)], window);
                var saved = runs.Plan(slice, new(first, window.Length)).Count() - 1;
                Assert.InRange(requests.Sum(request => request.Range.Length - request.Packed.Length), 0, (long)maxGap * Math.Max(saved, 0));
            });

    [Fact]
    public void AMillionCloseRunsArePlannedWithoutWalkingThem()
    {
        var slice = TensorSlice.Of(Tensor([1L << 40, 1_000]), [Range.All, 7..8]);

        Assert.Equal(new ByteRange(7, (8 << 20) - 7), new ReadPlanner(8 << 20, 8 << 20, 256 << 10).Plan(slice, new(0, slice.Bytes)).First().Range);
    }

    private static byte[] Naive(IReadOnlyList<(long Size, int From, int To)> dimensions, byte[] content)
    {
        IEnumerable<int> indices = [0];
        foreach (var (size, from, to) in dimensions)
        {
            indices = indices.SelectMany(index => Enumerable.Range(from, to - from).Select(i => (index * (int)size) + i)).ToList();
        }

        return [.. indices.Select(index => content[index])];
    }

    private static ShardedTensor Tensor(long[] shape)
    {
        var sizes = TensorShape.Create(shape);
        return new("layer.weight", TensorDType.U8, sizes, sizes.ByteCount(TensorDType.U8), Digest.Of([]), []);
    }
}
