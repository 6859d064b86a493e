using System.IO.Hashing;
using CloudShards.Formats;
using CsCheck;

namespace CloudShards.Tests;

public sealed class ShardHasherTests
{
    [Fact]
    public void PiecesOfAnySizeGiveTheSumsOfTheWhole() =>
        Gen.Select(Gen.Byte.Array[0, 5_000], Gen.Int[1, 1_500], Gen.Int[1, 5_000].Array[0, 10]).Sample((content, chunkBytes, cuts) =>
        {
            using var hasher = new ShardHasher(chunkBytes);
            var offset = 0;
            foreach (var cut in cuts.Append(content.Length))
            {
                var end = Math.Min(content.Length, offset + cut);
                hasher.Append(content.AsSpan(offset, end - offset));
                offset = end;
            }

            var sums = hasher.Finish();

            Assert.Equal(content.Length, sums.Bytes);
            Assert.Equal(Digest.Of(content), sums.Digest);
            Assert.Equal(content.Chunk(chunkBytes).Select(chunk => XxHash3.HashToUInt64(chunk)), sums.Chunks);
        });

    [Theory]
    [InlineData(65_536, 200_000)]
    [InlineData(65_537, 131_074)]
    [InlineData(100_000, 100_000)]
    public void ChunksAboveAPieceAreSummedWhole(int chunkBytes, int length)
    {
        var content = new byte[length];
        new Random(length).NextBytes(content);
        using var hasher = new ShardHasher(chunkBytes);
        hasher.Append(content);

        Assert.Equal(content.Chunk(chunkBytes).Select(chunk => XxHash3.HashToUInt64(chunk)), hasher.Finish().Chunks);
    }
}
