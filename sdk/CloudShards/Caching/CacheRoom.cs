using System.Buffers.Binary;
using System.Diagnostics.CodeAnalysis;
using Microsoft.Win32.SafeHandles;

namespace CloudShards;

/// <summary>
/// Bytes of a cache folder that were promised to this process, and the folder of its unfinished files. How many bytes stands in a file that
/// is open as long as the process uses the cache. So whoever counts the cache counts them, and can tell them from what a crash left.
/// </summary>
/// <remarks>
/// Room is promised in portions, under the <see cref="CacheLock"/>; to spend it, and to put a finished file in its place, takes no lock.
/// </remarks>
[SuppressMessage("Design", "CA1001", Justification = "The note stays open until nobody refers to the room, which its finalizer tells best.")]
internal sealed class CacheRoom
{
    private const string NoteName = "promised";
    private const long MaxStaleBytes = 64 << 20;

    private readonly Lock _turn = new();
    private readonly SafeFileHandle _note;
    private readonly string _path;
    private long _promised;
    private long _noted;
    private long _unspent;
    private long _cachedBytes;
    private int _files;

    private CacheRoom(string path, SafeFileHandle note) => (_path, _note) = (path, note);

    /// <summary>Whether its folder is still there.</summary>
    public bool Exists => Directory.Exists(_path);

    /// <summary>Makes a room, in the turn of a <see cref="CacheLock"/>.</summary>
    public static CacheRoom Create(string incoming)
    {
        var path = Directory.CreateDirectory(Path.Combine(incoming, $"{Guid.NewGuid():N}")).FullName;
        return new(path, File.OpenHandle(Path.Combine(path, NoteName), FileMode.CreateNew, FileAccess.ReadWrite, FileShare.Read));
    }

    /// <summary>
    /// What is promised to all processes, in the turn of a <see cref="CacheLock"/>. The rooms of those that died are removed; nothing else
    /// that lies there is touched.
    /// </summary>
    public static long PromisedToAll(string incoming, CacheRoom own)
    {
        var bytes = own.Promised;
        foreach (var room in new DirectoryInfo(incoming).EnumerateDirectories())
        {
            if (room.FullName != own._path && Guid.TryParseExact(room.Name, "N", out _) && room.LinkTarget is null)
            {
                bytes += PromisedTo(room);
            }
        }

        return bytes;
    }

    /// <summary>The path of a file to be written.</summary>
    public string NewFile() => Path.Combine(_path, $"{Interlocked.Increment(ref _files)}.tmp");

    /// <summary>Spends some of the room, if it has as much and was promised while the cache was no larger than <paramref name="maxBytes"/>.</summary>
    public bool TrySpend(long bytes, long maxBytes)
    {
        lock (_turn)
        {
            var isEnough = bytes <= _unspent && _cachedBytes <= maxBytes;
            _unspent -= isEnough ? bytes : 0;
            return isEnough;
        }
    }

    /// <summary>Takes what is not spent yet, so that nobody else spends it; <see cref="Grant"/> or <see cref="Return"/> gives back.</summary>
    public long TakeUnspent()
    {
        lock (_turn)
        {
            var bytes = _unspent;
            _unspent = 0;
            return bytes;
        }
    }

    /// <summary>Takes note of a promise, in the turn of a <see cref="CacheLock"/>.</summary>
    /// <param name="bytes">Bytes that are promised in addition.</param>
    /// <param name="unspent">Bytes that may be spent from now on, in addition.</param>
    /// <param name="cachedBytes">The sum of the cache with them.</param>
    public void Grant(long bytes, long unspent, long cachedBytes)
    {
        lock (_turn)
        {
            Note(_promised + bytes);
            _promised += bytes;
            _unspent += unspent;
            _cachedBytes = cachedBytes;
        }
    }

    /// <summary>Takes note that bytes were spent on nothing.</summary>
    public void Return(long bytes)
    {
        lock (_turn)
        {
            _unspent += bytes;
        }
    }

    /// <summary>Takes note that a file has its place, where it is counted by itself.</summary>
    public void Settle(long bytes)
    {
        lock (_turn)
        {
            _promised -= bytes;

            // Too much for a while does no harm, and most shards are small.
            if (_noted - _promised > MaxStaleBytes)
            {
                Note(_promised);
            }
        }
    }

    private long Promised
    {
        get
        {
            lock (_turn)
            {
                return _promised;
            }
        }
    }

    private static long PromisedTo(DirectoryInfo room)
    {
        var note = Path.Combine(room.FullName, NoteName);
        if (File.Exists(note))
        {
            using var left = ExclusiveFile.TryOpen(note, FileMode.Open);
            if (left is null)
            {
                using var held = File.OpenHandle(note, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
                Span<byte> bytes = stackalloc byte[sizeof(long)];
                return RandomAccess.Read(held, bytes, 0) == bytes.Length ? BinaryPrimitives.ReadInt64LittleEndian(bytes) : 0;
            }
        }

        room.Delete(recursive: true);
        return 0;
    }

    private void Note(long promised)
    {
        Span<byte> bytes = stackalloc byte[sizeof(long)];
        BinaryPrimitives.WriteInt64LittleEndian(bytes, promised);
        RandomAccess.Write(_note, bytes, 0);
        _noted = promised;
    }
}
