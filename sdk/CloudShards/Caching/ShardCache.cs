using CloudShards.Formats;
using Microsoft.Win32.SafeHandles;

namespace CloudShards;

/// <summary>
/// The cache of an open checkpoint: verified shards in a <see cref="CacheFolder"/>, which others may use too. What is read from it is always
/// compared with the chunk sums, so a file that a crash or a bad disk left damaged is dropped and read anew. No failure of the cache fails
/// a read: it is counted, told once, and the store is asked.
/// </summary>
/// <remarks>A file's time of last change is when it was last used, to the minute: the file system's time of access may be turned off.</remarks>
internal sealed class ShardCache(
    CacheFolder folder, ShardManifest manifest, long maxBytes, TimeProvider time, ReadTelemetry telemetry)
{
    private static readonly TimeSpan TouchInterval = TimeSpan.FromMinutes(1);
    private static readonly TimeSpan RefusalLength = TimeSpan.FromMinutes(1);

    // A checkpoint that is larger than the cache, and read in order, would delete just what its next start reads first.
    private readonly Lazy<HashSet<Digest>> _own = new(() => [.. manifest.Tensors.Select(tensor => tensor.Digest)]);
    private readonly VerifiedChunks _verified = new();
    private volatile Refusal? _refusal;

    /// <summary>The time by the checkpoint's clock.</summary>
    public DateTimeOffset Now => time.GetUtcNow();

    /// <summary>Reads a run of a shard's bytes, if the shard is here and its chunks are right. May wait for the disk.</summary>
    public bool TryRead(ShardedTensor tensor, long offset, Span<byte> destination, CancellationToken cancellationToken)
    {
        cancellationToken.ThrowIfCancellationRequested();
        var path = PathOf(tensor.Digest);
        try
        {
            using var file = TryOpen(path);
            if (file is not null)
            {
                Touch(file, path);
                if (new CachedShard(file, tensor, manifest.ChunkBytes, _verified).TryRead(offset, destination))
                {
                    telemetry.CacheHit(destination.Length);
                    return true;
                }

                telemetry.CacheDamaged(tensor.Name, path);
                File.Delete(path);
            }
        }
        catch (Exception e) when (IsFailure(e))
        {
            telemetry.CacheFailed(folder.Path, e);
        }

        telemetry.CacheMiss();
        return false;
    }

    /// <summary>Whether the shard is here; whether it is right shows when it is read.</summary>
    public bool Has(ShardedTensor tensor) => File.Exists(PathOf(tensor.Digest));

    /// <summary>
    /// Makes room for a shard that is about to be written; null where it is here, is on its way, or cannot be kept. May wait for the disk, and
    /// for the turn of another process.
    /// </summary>
    public CacheFill? TryBegin(ShardedTensor tensor, CancellationToken cancellationToken)
    {
        if (Has(tensor) || !MayBegin(tensor))
        {
            return null;
        }

        CacheRoom? room = null;
        try
        {
            var wish = WishOf(tensor);
            room = folder.TrySpend(wish) ?? Noted(folder.Reserve(wish, time, cancellationToken));
        }
        catch (Exception e) when (IsFailure(e))
        {
            Failed(e);
        }
        finally
        {
            LeaveUnless(room, tensor);
        }

        return room is null ? null : new(this, tensor, room);
    }

    /// <summary>Takes a shard as one that is not on its way any more.</summary>
    public void Leave(Digest shard) => folder.Leave(shard);

    /// <summary>Where a shard is, if it is cached.</summary>
    public string PathOf(Digest shard) => folder.PathOf(shard);

    /// <summary>Tells that something could not be written.</summary>
    public void Failed(Exception exception)
    {
        telemetry.CacheFailed(folder.Path, exception);
        folder.Failed(exception, Now);
    }

    /// <summary>Whether an exception is the file system's, and not a mistake of this program.</summary>
    public static bool IsFailure(Exception e) => e is IOException or UnauthorizedAccessException;

    private RoomWish WishOf(ShardedTensor tensor) => new(tensor.Bytes, maxBytes, _own);

    private bool MayBegin(ShardedTensor tensor)
    {
        if (tensor.Bytes > maxBytes || (_refusal is { } refusal && tensor.Bytes > refusal.Fits && Now < refusal.Until))
        {
            return false;
        }

        if (folder.PausedBy(Now) is { } reason)
        {
            telemetry.CacheFailed(folder.Path, reason);
            return false;
        }

        return folder.TryEnter(tensor.Digest);
    }

    // Where the rest of the cache cannot be deleted either, the folder is not walked again for every shard.
    private CacheRoom? Noted(in RoomAnswer answer)
    {
        if (answer is { Room: null, Fits: { } fits })
        {
            _refusal = new(fits, Now + RefusalLength);
        }

        return answer.Room;
    }

    private void LeaveUnless(CacheRoom? room, ShardedTensor tensor)
    {
        if (room is null)
        {
            folder.Leave(tensor.Digest);
        }
    }

    // Most shards of a first start are not here, and an exception for each takes longer than to look first.
    private static SafeFileHandle? TryOpen(string path)
    {
        try
        {
            return File.Exists(path) ? File.OpenHandle(path, FileMode.Open, FileAccess.Read, FileShare.Read | FileShare.Delete) : null;
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            return null;
        }
    }

    private void Touch(SafeFileHandle file, string path)
    {
        var now = Now.UtcDateTime;
        if (now - File.GetLastWriteTimeUtc(file) <= TouchInterval)
        {
            return;
        }

        try
        {
            File.SetLastWriteTimeUtc(path, now);
        }
        catch (Exception e) when (IsFailure(e))
        {
            // It was deleted meanwhile, belongs to somebody else or cannot be written at all; it can be read all the same.
        }
    }

    private sealed record Refusal(long Fits, DateTimeOffset Until);
}
