using CloudShards.Formats;
using Microsoft.Win32.SafeHandles;

namespace CloudShards;

/// <summary>A shard that is being written to the cache, piece by piece, as the pieces arrive.</summary>
internal sealed class CacheFill(ShardCache cache, ShardedTensor tensor, string path, SafeFileHandle file) : IDisposable
{
    private int _hasFailed;
    private int _isEnded;
    private long _written;

    /// <summary>The shard.</summary>
    public Digest Shard => tensor.Digest;

    /// <summary>Its length.</summary>
    public long Bytes => tensor.Bytes;

    /// <summary>The file that is being written.</summary>
    public string Path => path;

    /// <summary>Writes a piece; pieces may come in any order and at once, each once.</summary>
    public void Write(long offset, ReadOnlySpan<byte> piece)
    {
        try
        {
            if (Volatile.Read(ref _hasFailed) == 0)
            {
                RandomAccess.Write(file, piece, offset);
                Interlocked.Add(ref _written, piece.Length);
            }
        }
        catch (Exception e) when (ShardCache.IsFailure(e))
        {
            Volatile.Write(ref _hasFailed, 1);
            cache.Failed(e);
        }
    }

    /// <summary>Keeps the shard, if all of it was written.</summary>
    public void Complete() => End(_written == tensor.Bytes && _hasFailed == 0);

    /// <summary>Removes what was written, unless it was complete.</summary>
    public void Dispose() => End(isComplete: false);

    private void End(bool isComplete)
    {
        if (Interlocked.Exchange(ref _isEnded, 1) == 0)
        {
            using (file)
            {
                cache.End(this, isComplete);
            }
        }
    }
}
