using System.Buffers;
using System.IO.Hashing;
using CloudShards.Formats;
using Microsoft.Win32.SafeHandles;

namespace CloudShards;

/// <summary>Reads a cached shard's file and compares it with the chunk sums.</summary>
internal readonly struct CachedShard(SafeFileHandle file, ShardedTensor tensor, int chunkBytes, VerifiedChunks verified)
{
    private const int WindowBytes = 128 << 10;

    /// <summary>
    /// Reads a run of bytes; false where the file is too short or a chunk is wrong. A chunk that the run covers in part is read whole, in
    /// small windows, the first time; from then on its bytes are taken as they are.
    /// </summary>
    public bool TryRead(long offset, Span<byte> destination)
    {
        if (RandomAccess.GetLength(file) != tensor.Bytes)
        {
            return false;
        }

        var isRight = true;
        for (var done = 0; isRight && done < destination.Length;)
        {
            var at = offset + done;
            var rest = destination[done..];
            var chunk = ChunkSums.RangeOf(tensor, chunkBytes, (int)(at / chunkBytes));
            var end = at + rest.Length;
            if (at == chunk.Offset && end >= chunk.End)
            {
                // All whole chunks that follow each other at once.
                rest = rest[..(int)(end == tensor.Bytes ? rest.Length : rest.Length - (end % chunkBytes))];
                isRight = TryFill(at, rest) && ChunkSums.FirstMismatch(tensor, chunkBytes, at, rest) is null;
            }
            else
            {
                rest = rest[..(int)Math.Min(rest.Length, chunk.End - at)];
                isRight = TryReadPart(chunk, at, rest);
            }

            done += rest.Length;
        }

        return isRight;
    }

    private bool TryReadPart(ByteRange chunk, long offset, Span<byte> destination)
    {
        var index = (int)(chunk.Offset / chunkBytes);
        if (verified.Contains(tensor.Digest, index))
        {
            return TryFill(offset, destination);
        }

        var sum = new XxHash3();
        var buffer = ArrayPool<byte>.Shared.Rent(WindowBytes);
        try
        {
            for (var at = chunk.Offset; at < chunk.End; at += WindowBytes)
            {
                var window = buffer.AsSpan(0, (int)Math.Min(WindowBytes, chunk.End - at));
                if (!TryFill(at, window))
                {
                    return false;
                }

                sum.Append(window);
                var (first, last) = (Math.Max(at, offset), Math.Min(at + window.Length, offset + destination.Length));
                if (first < last)
                {
                    window[(int)(first - at)..(int)(last - at)].CopyTo(destination[(int)(first - offset)..]);
                }
            }
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }

        return sum.GetCurrentHashAsUInt64() == tensor.Chunks[index] && verified.Add(tensor.Digest, index);
    }

    private bool TryFill(long offset, Span<byte> destination)
    {
        for (var filled = 0; filled < destination.Length;)
        {
            var read = RandomAccess.Read(file, destination[filled..], offset + filled);
            if (read == 0)
            {
                return false;
            }

            filled += read;
        }

        return true;
    }
}

/// <summary>The chunks of cached shards that were read whole for the sake of a part, and found right.</summary>
internal sealed class VerifiedChunks
{
    private readonly Lock _turn = new();
    private readonly HashSet<(Digest Shard, int Chunk)> _chunks = [];

    public bool Contains(Digest shard, int chunk)
    {
        lock (_turn)
        {
            return _chunks.Contains((shard, chunk));
        }
    }

    /// <summary>Takes note of a chunk that is right; always true.</summary>
    public bool Add(Digest shard, int chunk)
    {
        lock (_turn)
        {
            _chunks.Add((shard, chunk));
            return true;
        }
    }
}
