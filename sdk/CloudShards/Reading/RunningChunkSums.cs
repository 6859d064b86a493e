using System.IO.Hashing;
using CloudShards.Formats;

namespace CloudShards;

/// <summary>Compares the whole chunks in a run of a tensor's bytes with the manifest's sums, piece by piece as they arrive.</summary>
/// <param name="tensor">The tensor.</param>
/// <param name="chunkBytes">Bytes of a chunk.</param>
/// <param name="offset">Where the run begins in the tensor.</param>
/// <param name="run">Where its bytes arrive, from its start on.</param>
internal sealed class RunningChunkSums(ShardedTensor tensor, int chunkBytes, long offset, ReadOnlyMemory<byte> run)
{
    private readonly XxHash3 _hash = new();
    private int _chunk = (int)((offset + chunkBytes - 1) / chunkBytes);
    private int _hashed;

    /// <summary>The chunks that are wrong, so far.</summary>
    public List<int> Mismatches { get; } = [];

    /// <summary>Takes the bytes that have arrived since the last call.</summary>
    /// <param name="arrived">How many are there, from the start of the run on.</param>
    public void Take(int arrived)
    {
        for (; _chunk < tensor.Chunks.Length; _chunk++)
        {
            var chunk = ChunkSums.RangeOf(tensor, chunkBytes, _chunk);
            if (chunk.End > offset + run.Length)
            {
                return;
            }

            var (start, end) = (Math.Max(_hashed, (int)(chunk.Offset - offset)), (int)(chunk.End - offset));
            if (arrived > start)
            {
                _hashed = Math.Min(arrived, end);
                _hash.Append(run.Span[start.._hashed]);
            }

            if (arrived < end)
            {
                return;
            }

            if (_hash.GetCurrentHashAsUInt64() != tensor.Chunks[_chunk])
            {
                Mismatches.Add(_chunk);
            }

            _hash.Reset();
        }
    }
}
