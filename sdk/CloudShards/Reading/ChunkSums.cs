using System.IO.Hashing;
using CloudShards.Formats;

namespace CloudShards;

/// <summary>Compares bytes with a manifest's chunk sums. Pure.</summary>
internal static class ChunkSums
{
    /// <summary>
    /// The first chunk, from <paramref name="fromChunk"/> on, that lies whole in a run of a tensor's bytes and has another sum than the
    /// manifest says; null where there is none.
    /// </summary>
    /// <param name="tensor">The tensor.</param>
    /// <param name="chunkBytes">Bytes of a chunk.</param>
    /// <param name="offset">Where the run begins in the tensor.</param>
    /// <param name="run">The bytes.</param>
    /// <param name="fromChunk">The first chunk to look at.</param>
    public static int? FirstMismatch(ShardedTensor tensor, int chunkBytes, long offset, ReadOnlySpan<byte> run, int fromChunk = 0)
    {
        var firstWhole = (offset + chunkBytes - 1) / chunkBytes;
        for (var chunk = (int)Math.Max(fromChunk, firstWhole); chunk < tensor.Chunks.Length; chunk++)
        {
            var range = RangeOf(tensor, chunkBytes, chunk);
            if (range.End > offset + run.Length)
            {
                break;
            }

            if (XxHash3.HashToUInt64(run.Slice((int)(range.Offset - offset), (int)range.Length)) != tensor.Chunks[chunk])
            {
                return chunk;
            }
        }

        return null;
    }

    /// <summary>Where a chunk lies in its tensor; the last one may be shorter than the others.</summary>
    public static ByteRange RangeOf(ShardedTensor tensor, int chunkBytes, int chunk)
    {
        var offset = (long)chunk * chunkBytes;
        return new(offset, Math.Min(chunkBytes, tensor.Bytes - offset));
    }
}
