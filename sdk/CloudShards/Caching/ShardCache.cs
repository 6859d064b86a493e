using CloudShards.Formats;
using Microsoft.Win32.SafeHandles;

namespace CloudShards;

/// <summary>
/// Verified shards in a folder of this machine, by digest: <c>sha256/ab/abcdef…</c>, and <c>incoming/</c> for those that are being
/// written. Several processes may share it. What is read from it is always compared with the chunk sums, so a file that a crash or a bad
/// disk left damaged is dropped and read anew. No failure of the cache fails a read: it is counted, told once, and the store is asked.
/// </summary>
/// <remarks>A file's time of last change is when it was last used, to the minute: the file system's time of access may be turned off.</remarks>
internal sealed class ShardCache(string folder, long maxBytes, TimeProvider time, ReadTelemetry telemetry)
{
    private static readonly TimeSpan TouchInterval = TimeSpan.FromMinutes(1);

    private readonly string _folder = Path.GetFullPath(folder);
    private readonly Lock _turn = new();
    private readonly HashSet<Digest> _filling = [];
    private bool _isCounted;
    private bool _isStuck;

    private string Incoming => Path.Combine(_folder, "incoming");

    private string Shards => Path.Combine(_folder, "sha256");

    /// <summary>Reads a run of a shard's bytes, if the shard is here and the run's chunks are right.</summary>
    public bool TryRead(ShardedTensor tensor, int chunkBytes, long offset, Span<byte> destination, CancellationToken cancellationToken)
    {
        cancellationToken.ThrowIfCancellationRequested();
        try
        {
            if (TryOpen(tensor) is { } file)
            {
                bool isRight;
                using (file)
                {
                    Touch(file, PathOf(tensor.Digest));
                    isRight = RandomAccess.GetLength(file) == tensor.Bytes && TryFill(file, offset, destination)
                        && ChunkSums.FirstMismatch(tensor, chunkBytes, offset, destination) is null;
                }

                if (isRight)
                {
                    telemetry.CacheHit(destination.Length);
                    return true;
                }

                telemetry.CacheDamaged(tensor.Name, PathOf(tensor.Digest));
                Drop(tensor.Digest, cancellationToken);
            }
        }
        catch (Exception e) when (IsFailure(e))
        {
            telemetry.CacheFailed(_folder, e);
        }

        telemetry.CacheMiss();
        return false;
    }

    /// <summary>Whether the shard is here; whether it is right shows when it is read.</summary>
    public bool Has(ShardedTensor tensor) => File.Exists(PathOf(tensor.Digest));

    /// <summary>Makes room for a shard that is about to be read; null where it is here, is on its way, or cannot be kept.</summary>
    public CacheFill? TryBegin(ShardedTensor tensor, CancellationToken cancellationToken)
    {
        if (tensor.Bytes > maxBytes || Has(tensor))
        {
            return null;
        }

        try
        {
            lock (_turn)
            {
                return _isStuck || _filling.Contains(tensor.Digest) ? null : Begin(tensor, cancellationToken);
            }
        }
        catch (Exception e) when (IsFailure(e))
        {
            // A process that was stopped in its turn must not cost two seconds for every shard.
            _isStuck |= e is IOException held && CacheLock.IsHeld(held);
            telemetry.CacheFailed(_folder, e);
            return null;
        }
    }

    /// <summary>Gives a shard that was written its name, or removes what was written of it.</summary>
    public void End(CacheFill fill, bool isComplete)
    {
        try
        {
            lock (_turn)
            {
                _filling.Remove(fill.Shard);
                using var held = CacheLock.Take(LockFile, CancellationToken.None);
                var path = PathOf(fill.Shard);
                if (isComplete && !File.Exists(path))
                {
                    Directory.CreateDirectory(Path.GetDirectoryName(path)!);
                    File.Move(fill.Path, path);
                    File.SetLastWriteTimeUtc(path, time.GetUtcNow().UtcDateTime);
                }
                else
                {
                    File.Delete(fill.Path);
                    held.CachedBytes -= fill.Bytes;
                }
            }
        }
        catch (Exception e) when (IsFailure(e))
        {
            telemetry.CacheFailed(_folder, e);
        }
    }

    /// <summary>Tells of a shard that could not be written.</summary>
    public void Failed(Exception exception) => telemetry.CacheFailed(_folder, exception);

    /// <summary>Whether an exception is the file system's, and not a mistake of this program.</summary>
    public static bool IsFailure(Exception e) => e is IOException or UnauthorizedAccessException;

    private CacheFill? Begin(ShardedTensor tensor, CancellationToken cancellationToken)
    {
        Directory.CreateDirectory(Incoming);
        using var held = CacheLock.Take(LockFile, cancellationToken);
        if (File.Exists(PathOf(tensor.Digest)) || !TryMakeRoom(held, tensor.Bytes))
        {
            return null;
        }

        var path = Path.Combine(Incoming, $"{Guid.NewGuid():N}.tmp");
        var fill = new CacheFill(this, tensor, path, Create(path, tensor.Bytes));
        held.CachedBytes += tensor.Bytes;
        _filling.Add(tensor.Digest);
        return fill;
    }

    // It has its whole length from the start, so that whoever counts the folder counts what was promised. It is open as long as it is
    // written, which tells it from one that a crash left.
    private static SafeFileHandle Create(string path, long bytes)
    {
        var file = File.OpenHandle(path, FileMode.CreateNew, FileAccess.Write, FileShare.Delete);
        try
        {
            RandomAccess.SetLength(file, bytes);
            return file;
        }
        catch
        {
            file.Dispose();
            File.Delete(path);
            throw;
        }
    }

    // The sum in the lock file is what writers noted; a process that died noted too much. So the folder is walked once by every process,
    // and whenever there seems to be no room.
    private bool TryMakeRoom(CacheLock held, long bytes)
    {
        if (_isCounted && held.CachedBytes + bytes <= maxBytes)
        {
            return true;
        }

        var shards = Directory.Exists(Shards)
            ? new DirectoryInfo(Shards).EnumerateFiles("*", SearchOption.AllDirectories).OrderBy(file => file.LastWriteTimeUtc).ToList()
            : [];
        held.CachedBytes = shards.Sum(file => file.Length) + CountIncoming();
        _isCounted = true;
        if (held.CachedBytes + bytes > maxBytes)
        {
            Evict(held, shards, maxBytes - bytes);
        }

        return held.CachedBytes + bytes <= maxBytes;
    }

    // A little more room than is needed, so that the next ones need no walk.
    private void Evict(CacheLock held, List<FileInfo> leastRecentFirst, long keptBytes)
    {
        foreach (var file in leastRecentFirst.TakeWhile(_ => held.CachedBytes > keptBytes - (maxBytes / 16)))
        {
            held.CachedBytes -= file.Length;
            file.Delete();
        }
    }

    private long CountIncoming()
    {
        var bytes = 0L;
        foreach (var file in new DirectoryInfo(Incoming).EnumerateFiles())
        {
            try
            {
                using (File.OpenHandle(file.FullName, FileMode.Open, FileAccess.ReadWrite, FileShare.None))
                {
                }

                file.Delete();
            }
            catch (IOException e) when (CacheLock.IsHeld(e))
            {
                bytes += file.Length;
            }
        }

        return bytes;
    }

    private void Drop(Digest shard, CancellationToken cancellationToken)
    {
        lock (_turn)
        {
            using var held = CacheLock.Take(LockFile, cancellationToken);
            var file = new FileInfo(PathOf(shard));
            if (file.Exists)
            {
                held.CachedBytes -= file.Length;
                file.Delete();
            }
        }
    }

    private SafeFileHandle? TryOpen(ShardedTensor tensor)
    {
        try
        {
            return File.OpenHandle(PathOf(tensor.Digest), FileMode.Open, FileAccess.Read, FileShare.Read | FileShare.Delete);
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            return null;
        }
    }

    private void Touch(SafeFileHandle file, string path)
    {
        var now = time.GetUtcNow().UtcDateTime;
        if (now - File.GetLastWriteTimeUtc(file) <= TouchInterval)
        {
            return;
        }

        try
        {
            File.SetLastWriteTimeUtc(path, now);
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            // Another process made room meanwhile; what is open can be read all the same.
        }
    }

    private static bool TryFill(SafeFileHandle file, long offset, Span<byte> destination)
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

    private string LockFile => Path.Combine(_folder, ".lock");

    private string PathOf(Digest shard) => Path.Combine(Shards, shard.Hex[..2], shard.Hex);
}
