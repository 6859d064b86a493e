using System.IO.Hashing;
using CloudShards.Formats;

namespace CloudShards;

/// <summary>Compares the whole chunks in a run of a tensor's bytes with the manifest's sums, piece by piece as they arrive.</summary>
/// <param name="tensor">The tensor.</param>
/// <param name="chunkBytes">Bytes of a chunk.</param>
/// <param name="run">Which of the tensor's bytes arrive.</param>
internal sealed class RunningChunkSums(ShardedTensor tensor, int chunkBytes, ByteRange run)
{
    private readonly XxHash3 _hash = new();
    private int _chunk = (int)((run.Offset + chunkBytes - 1) / chunkBytes);
    private long _at = run.Offset;

    /// <summary>The chunks that are wrong, so far.</summary>
    public List<int> Mismatches { get; } = [];

    /// <summary>Takes the next bytes of the run.</summary>
    public void Take(ReadOnlySpan<byte> piece)
    {
        while (_chunk < tensor.Chunks.Length && ChunkSums.RangeOf(tensor, chunkBytes, _chunk) is var chunk && chunk.End <= run.End)
        {
            // The run may begin in the middle of a chunk.
            var before = (int)Math.Clamp(chunk.Offset - _at, 0, piece.Length);
            var part = piece[before..(int)Math.Min(piece.Length, chunk.End - _at)];
            _hash.Append(part);
            _at += before + part.Length;
            piece = piece[(before + part.Length)..];
            if (_at < chunk.End)
            {
                return;
            }

            if (_hash.GetCurrentHashAsUInt64() != tensor.Chunks[_chunk])
            {
                Mismatches.Add(_chunk);
            }

            _hash.Reset();
            _chunk++;
        }
    }
}
