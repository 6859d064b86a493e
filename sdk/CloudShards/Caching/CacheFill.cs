using CloudShards.Formats;
using Microsoft.Win32.SafeHandles;

namespace CloudShards;

/// <summary>
/// A shard that is being written to the cache, piece by piece, as the pieces arrive. All members may wait for the disk; disposing removes
/// what was written, unless it was complete.
/// </summary>
internal sealed class CacheFill(ShardCache cache, ShardedTensor tensor, CacheRoom room) : IDisposable
{
    private readonly Lock _turn = new();
    private readonly string _path = room.NewFile();
    private SafeFileHandle? _file;
    private int _hasFailed;
    private int _isEnded;
    private long _written;

    /// <summary>Writes a piece; pieces may come in any order and at once, each once.</summary>
    public void Write(long offset, ReadOnlySpan<byte> piece)
    {
        try
        {
            if (Volatile.Read(ref _hasFailed) == 0)
            {
                RandomAccess.Write(Open(), piece, offset);
                Interlocked.Add(ref _written, piece.Length);
            }
        }
        catch (Exception e) when (ShardCache.IsFailure(e))
        {
            // One full disk is one failure, however many pieces meet it.
            if (Interlocked.Exchange(ref _hasFailed, 1) == 0)
            {
                cache.Failed(e);
            }
        }
    }

    /// <summary>Keeps the shard, if all of it was written.</summary>
    public void Complete() => End(Interlocked.Read(ref _written) == tensor.Bytes && Volatile.Read(ref _hasFailed) == 0);

    public void Dispose() => End(isComplete: false);

    private SafeFileHandle Open()
    {
        lock (_turn)
        {
            return _file ??= File.OpenHandle(_path, FileMode.CreateNew, FileAccess.Write, FileShare.Read);
        }
    }

    private void End(bool isComplete)
    {
        if (Interlocked.Exchange(ref _isEnded, 1) != 0)
        {
            return;
        }

        try
        {
            using (_file)
            {
                if (isComplete)
                {
                    File.SetLastWriteTimeUtc(_file!, cache.Now.UtcDateTime);
                }
            }

            if (isComplete)
            {
                Place(cache.PathOf(tensor.Digest));
                room.Settle(tensor.Bytes);
                return;
            }
        }
        catch (Exception e) when (ShardCache.IsFailure(e))
        {
            cache.Failed(e);
        }
        finally
        {
            cache.Leave(tensor.Digest);
        }

        Remove();
    }

    // Another process may have put the same bytes there.
    private void Place(string path)
    {
        try
        {
            File.Move(_path, path, overwrite: true);
        }
        catch (DirectoryNotFoundException)
        {
            Directory.CreateDirectory(Path.GetDirectoryName(path)!);
            File.Move(_path, path, overwrite: true);
        }
    }

    // What cannot be deleted stays counted as promised.
    private void Remove()
    {
        try
        {
            if (_file is not null)
            {
                File.Delete(_path);
            }

            room.Return(tensor.Bytes);
        }
        catch (Exception e) when (ShardCache.IsFailure(e))
        {
            cache.Failed(e);
        }
    }
}
