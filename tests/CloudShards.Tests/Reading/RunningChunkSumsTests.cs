using System.IO.Hashing;
using CloudShards.Formats;
using CsCheck;

namespace CloudShards.Tests;

public sealed class RunningChunkSumsTests
{
    [Fact]
    public void WhicheverPiecesArriveTheWrongChunksAreFound() =>
        Gen.Select(Gen.Int[0, 60], Gen.Int[1, 9], Gen.Int[0, 60], Gen.Int[0, 60], Gen.Int[1, 20].Array[0, 8], Gen.Int[0, 60].Array[0, 3]).Sample(
            (length, chunkBytes, a, b, pieces, flips) =>
            {
                var content = new byte[length];
                new Random(length).NextBytes(content);
                var sums = content.Chunk(chunkBytes).Select(chunk => XxHash3.HashToUInt64(chunk));
                var tensor = new ShardedTensor("a", TensorDType.U8, [length], length, Digest.Of(content), [.. sums]);
                foreach (var flip in flips.Where(flip => flip < length))
                {
                    content[flip] ^= 1;
                }

                var (offset, end) = (Math.Min(Math.Min(a, b), length), Math.Min(Math.Max(a, b), length));
                var run = content[offset..end];
                var running = new RunningChunkSums(tensor, chunkBytes, new(offset, run.Length));
                var arrived = 0;
                foreach (var piece in pieces.Append(run.Length))
                {
                    var next = Math.Min(run.Length, arrived + piece);
                    running.Take(run.AsSpan(arrived..next));
                    arrived = next;
                }

                var expected = new List<int>();
                for (var next = ChunkSums.FirstMismatch(tensor, chunkBytes, offset, run); next is { } chunk; next = ChunkSums.FirstMismatch(tensor, chunkBytes, offset, run, chunk + 1))
                {
                    expected.Add(chunk);
                }

                Assert.Equal(expected, running.Mismatches);
            });
}
