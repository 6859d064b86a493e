using System.Collections.Concurrent;
using System.Diagnostics.CodeAnalysis;
using CloudShards.Formats;

namespace CloudShards;

/// <summary>
/// A cache folder as this process knows it, one object for all checkpoints that use it: which shards are on their way, and what room the
/// process has. <c>sha256/ab/abcdef…</c> are the shards, <c>incoming/</c> has a <see cref="CacheRoom"/> for each process.
/// </summary>
[SuppressMessage("Design", "CA1001", Justification = "A semaphore whose wait handle is never taken holds nothing to free.")]
internal sealed class CacheFolder
{
    private const long MaxPortionBytes = 64 << 20;
    private static readonly TimeSpan PauseLength = TimeSpan.FromMinutes(1);

    // Nobody has to say that a folder is not used any more: when the last checkpoint is gone, so is the folder's object.
    private static readonly Dictionary<string, WeakReference<CacheFolder>> Known = new(StringComparer.Ordinal);

    private readonly SemaphoreSlim _turn = new(1, 1);
    private readonly ConcurrentDictionary<Digest, bool> _filling = [];
    private volatile CacheRoom? _room;
    private volatile Pause? _pause;
    private volatile bool _isCounted;

    private CacheFolder(string path) => Path = path;

    /// <summary>The folder's full path.</summary>
    public string Path { get; }

    private string Incoming => System.IO.Path.Combine(Path, "incoming");

    private string LockFile => System.IO.Path.Combine(Path, ".lock");

    private string Shards => System.IO.Path.Combine(Path, "sha256");

    /// <summary>The folder at a path.</summary>
    public static CacheFolder At(string path)
    {
        path = System.IO.Path.TrimEndingDirectorySeparator(System.IO.Path.GetFullPath(path));
        lock (Known)
        {
            if (Known.TryGetValue(path, out var known) && known.TryGetTarget(out var folder))
            {
                return folder;
            }

            foreach (var gone in Known.Where(entry => !entry.Value.TryGetTarget(out _)).Select(entry => entry.Key).ToList())
            {
                Known.Remove(gone);
            }

            folder = new(path);
            Known[path] = new(folder);
            return folder;
        }
    }

    /// <summary>Where a shard is, if it is cached.</summary>
    public string PathOf(Digest shard)
    {
        var hex = shard.Hex;
        return System.IO.Path.Combine(Shards, hex[..2], hex);
    }

    /// <summary>Takes a shard as one that is on its way; false where it is already. <see cref="Leave"/> ends it.</summary>
    public bool TryEnter(Digest shard) => _filling.TryAdd(shard, true);

    /// <summary>Takes a shard as one that is not on its way any more.</summary>
    public void Leave(Digest shard) => _filling.TryRemove(shard, out _);

    /// <summary>Why nothing is to be written for now; null where it may be.</summary>
    public Exception? PausedBy(DateTimeOffset now) => _pause is { } pause && now < pause.Until ? pause.Reason : null;

    /// <summary>
    /// Takes note of a failure to write. Where the folder was deleted it is made anew; a disk that is full, or a turn that another process
    /// does not end, is left alone for a minute, so that it does not cost its time for every shard.
    /// </summary>
    public void Failed(Exception exception, DateTimeOffset now)
    {
        if (_room is { Exists: false })
        {
            (_room, _isCounted) = (null, false);
        }
        else
        {
            _pause = new(exception, now + PauseLength);
        }
    }

    /// <summary>Spends room that is at hand; null where there is not enough.</summary>
    public CacheRoom? TrySpend(in RoomWish wish) => _room is { } room && room.TrySpend(wish.Bytes, wish.MaxBytes) ? room : null;

    /// <summary>Asks for room, and spends it. Nobody is kept from anything but asking.</summary>
    /// <exception cref="IOException">The folder cannot be written, or another process does not end its turn.</exception>
    /// <exception cref="UnauthorizedAccessException">The folder cannot be written.</exception>
    public RoomAnswer Reserve(in RoomWish wish, TimeProvider time, CancellationToken cancellationToken)
    {
        _turn.Wait(cancellationToken);
        try
        {
            if (AnswerOf(wish, time) is { } known)
            {
                return known;
            }

            Directory.CreateDirectory(Incoming);
            return Reserve(CacheLock.Take(LockFile, cancellationToken), wish);
        }
        finally
        {
            _turn.Release();
        }
    }

    // While one waited for its turn, another may have found more room than it needed, or that nothing can be written.
    private RoomAnswer? AnswerOf(in RoomWish wish, TimeProvider time) =>
        TrySpend(wish) is { } room ? new(room, null)
        : PausedBy(time.GetUtcNow()) is not null ? new(null, null)
        : null;

    private RoomAnswer Reserve(CacheLock turn, in RoomWish wish)
    {
        using var held = turn;
        var room = _room ??= CacheRoom.Create(Incoming);
        var unspent = room.TakeUnspent();
        try
        {
            var missing = wish.Bytes - unspent;
            if (!_isCounted || held.CachedBytes is null || held.CachedBytes + missing > wish.MaxBytes)
            {
                Count(held, room, missing, wish);
            }

            var free = wish.MaxBytes - held.CachedBytes!.Value;
            if (missing > free)
            {
                return new(null, Math.Max(0, free + unspent));
            }

            // A portion more, so that the next ones need not ask: of what is free, and never by deleting for it.
            var granted = missing <= 0 ? 0 : Math.Min(free, missing + Math.Min(wish.MaxBytes / 64, MaxPortionBytes));
            room.Grant(granted, granted - missing, held.CachedBytes.Value + granted);
            held.CachedBytes += granted;
            unspent = 0;
            return new(room, null);
        }
        finally
        {
            room.Return(unspent);
        }
    }

    // What the lock file says, writers noted. One that died noted too much, and a machine that stopped may have lost a note. So the folder
    // is walked once by every process, and whenever there seems to be no room. Promises are counted first: a file that is put in its place
    // meanwhile is then counted twice, and not never.
    private void Count(CacheLock held, CacheRoom room, long missing, in RoomWish wish)
    {
        var promised = CacheRoom.PromisedToAll(Incoming, room);
        var files = CachedFile.List(Shards);
        held.CachedBytes = promised + files.Sum(file => file.Bytes);
        _isCounted = true;
        var excess = held.CachedBytes.Value + missing - wish.MaxBytes;
        if (excess > 0)
        {
            Evict(held, files, excess, wish);
        }
    }

    private static void Evict(CacheLock held, List<CachedFile> files, long excess, in RoomWish wish)
    {
        var spared = wish.Spared.Value;
        var leastRecentFirst = files.Where(file => !spared.Contains(file.Shard)).OrderBy(file => file.UsedAt).ToList();
        if (leastRecentFirst.Sum(file => file.Bytes) < excess)
        {
            return;
        }

        // A little more room than is needed, so that the next ones need no walk.
        var last = held.CachedBytes - excess - (wish.MaxBytes / 16);
        foreach (var file in leastRecentFirst.TakeWhile(_ => held.CachedBytes > last))
        {
            File.Delete(file.Path);
            held.CachedBytes -= file.Bytes;
        }
    }

    private sealed record Pause(Exception Reason, DateTimeOffset Until);
}

/// <summary>What a checkpoint wants of a cache folder.</summary>
/// <param name="Bytes">How much room.</param>
/// <param name="MaxBytes">What the folder may have with it.</param>
/// <param name="Spared">Shards that are not deleted for it.</param>
internal readonly record struct RoomWish(long Bytes, long MaxBytes, Lazy<HashSet<Digest>> Spared);

/// <summary>What became of a <see cref="RoomWish"/>.</summary>
/// <param name="Room">The room that the bytes were taken from; null where there are not as many.</param>
/// <param name="Fits">How many there would be; null where that is not known.</param>
internal readonly record struct RoomAnswer(CacheRoom? Room, long? Fits);
