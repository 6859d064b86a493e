using CloudShards.Formats;
using CsCheck;

namespace CloudShards.Tests;

public sealed class ReadPlannerTests
{
    [Theory]
    [InlineData(0, 0, 10, 100, "")]
    [InlineData(0, 1, 10, 100, "0..1")]
    [InlineData(0, 100, 10, 100, "0..100")]
    [InlineData(0, 101, 10, 100, "0..100 100..101")]
    [InlineData(0, 250, 10, 100, "0..100 100..200 200..250")]
    [InlineData(0, 25, 10, 10, "0..10 10..20 20..25")]
    [InlineData(7, 100, 10, 100, "7..107")]
    [InlineData(7, 101, 10, 100, "7..100 100..108")]
    [InlineData(7, 10, 10, 10, "7..17")]
    [InlineData(7, 24, 10, 10, "7..10 10..20 20..30 30..31")]
    [InlineData(0, 25, 10, 19, "0..10 10..20 20..25")]
    [InlineData(0, 25, 10, 1, "0..10 10..20 20..25")]
    public void ARunBecomesTheseRequests(long offset, long length, int chunkBytes, int maxRequestBytes, string requests) =>
        Assert.Equal(requests, string.Join(' ', new ReadPlanner(chunkBytes, maxRequestBytes, 0).Plan(new ByteRange(offset, length))));

    [Theory]
    [InlineData(TensorDType.F32, 100, 10, 40, false, "0..40 40..80 80..100")]
    [InlineData(TensorDType.F32, 100, 10, 40, true, "0..40 40..80 80..100")]
    [InlineData(TensorDType.F32, 100, 10, 30, false, "0..30 30..60 60..90 90..100")]
    [InlineData(TensorDType.F32, 100, 10, 30, true, "0..20 20..40 40..60 60..80 80..100")]
    [InlineData(TensorDType.F32, 100, 10, 10, true, "0..20 20..40 40..60 60..80 80..100")]
    [InlineData(TensorDType.F64, 96, 7, 100, true, "0..56 56..96")]
    [InlineData(TensorDType.F64, 48, 7, 1, true, "0..48")]
    [InlineData(TensorDType.U8, 20, 7, 7, true, "0..7 7..14 14..20")]
    [InlineData(TensorDType.F6E2M3, 12, 4, 4, true, "0..12")]
    [InlineData(TensorDType.F32, 0, 10, 40, true, "")]
    public void ATensorBecomesThesePieces(TensorDType dtype, long bytes, int chunkBytes, int maxRequestBytes, bool isStaged, string pieces)
    {
        var tensor = new ShardedTensor("a", dtype, [bytes], bytes, default, []);

        Assert.Equal(pieces, string.Join(' ', new ReadPlanner(chunkBytes, maxRequestBytes, 0).Pieces(tensor, isStaged)));
    }

    [Fact]
    public void PiecesThatNoMemoryCanHoldAreRefused()
    {
        const int OddBytes = (1 << 30) + 1;
        var planner = new ReadPlanner(OddBytes, 1, 0);
        var tensor = new ShardedTensor("a", TensorDType.F32, [1L << 30], 1L << 32, default, []);

        Assert.Equal(4, planner.Pieces(tensor, isStaged: false).Count());
        var refused = Assert.Throws<NotSupportedException>(() => planner.Pieces(tensor, isStaged: true).Count());
        Assert.Contains("`a`", refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void RequestsCoverTheRunOnceAndTearNoChunkOfALongOne() =>
        Gen.Select(Gen.Long[0, 5_000], Gen.Long[1, 5_000], Gen.Int[1, 300], Gen.Int[1, 1_000]).Sample((offset, length, chunkBytes, maxRequestBytes) =>
        {
            var requests = new ReadPlanner(chunkBytes, maxRequestBytes, 0).Plan(new ByteRange(offset, length)).ToList();
            var ends = requests.Select(request => request.End).ToList();

            Assert.Equal([offset, .. ends[..^1]], requests.Select(request => request.Offset));
            Assert.Equal(offset + length, ends[^1]);
            Assert.All(requests, request => Assert.InRange(request.Length, 1, Math.Max(chunkBytes, maxRequestBytes)));
            Assert.All(ends[..^1], end => Assert.Equal(0, end % chunkBytes));
        });

    [Fact]
    public void ATerabyteIsPlannedOneRequestAtATime()
    {
        const long Terabyte = 1L << 40;
        Assert.Equal(new ByteRange(0, 8 << 20), new ReadPlanner(8 << 20, 8 << 20, 0).Plan(new ByteRange(0, Terabyte)).First());
    }
}
