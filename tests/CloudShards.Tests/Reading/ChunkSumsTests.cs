using System.IO.Hashing;
using CloudShards.Formats;

namespace CloudShards.Tests;

public sealed class ChunkSumsTests
{
    // Chunks of 10 bytes in a tensor of 25: 0..10, 10..20, 20..25.
    [Theory]
    [InlineData(0, 25, 0, 0, 0)]
    [InlineData(0, 25, 24, 0, 2)]
    [InlineData(0, 24, 23, 0, null)]
    [InlineData(1, 24, 5, 0, null)]
    [InlineData(1, 24, 15, 0, 1)]
    [InlineData(9, 11, 19, 0, 1)]
    [InlineData(9, 10, 15, 0, null)]
    [InlineData(11, 14, 22, 0, 2)]
    [InlineData(0, 25, 5, 1, null)]
    [InlineData(20, 5, 20, 2, 2)]
    [InlineData(0, 0, 0, 0, null)]
    public void OnlyAChunkThatIsWholeInTheRunIsCompared(int offset, int length, int damaged, int fromChunk, int? mismatch)
    {
        var content = Enumerable.Range(0, 25).Select(i => (byte)i).ToArray();
        var tensor = new ShardedTensor(
            "a", TensorDType.U8, [25], 25, Digest.Of(content), [.. content.Chunk(10).Select(chunk => XxHash3.HashToUInt64(chunk))]);

        Assert.Null(ChunkSums.FirstMismatch(tensor, 10, offset, content.AsSpan(offset, length), fromChunk));
        content[damaged] ^= 1;
        Assert.Equal(mismatch, ChunkSums.FirstMismatch(tensor, 10, offset, content.AsSpan(offset, length), fromChunk));
    }
}
