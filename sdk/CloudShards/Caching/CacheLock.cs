using System.Buffers.Binary;
using Microsoft.Win32.SafeHandles;

namespace CloudShards;

/// <summary>
/// The turn of one process that takes room in a cache folder: a lock on a file in which the sum of the cached bytes stands.
/// </summary>
internal sealed class CacheLock : IDisposable
{
    private const int MaxPolls = 1_000;
    private static readonly TimeSpan Poll = TimeSpan.FromMilliseconds(2);

    private readonly SafeFileHandle _file;

    private CacheLock(SafeFileHandle file)
    {
        _file = file;
        Span<byte> sum = stackalloc byte[sizeof(long)];
        CachedBytes = RandomAccess.Read(file, sum, 0) == sum.Length ? BinaryPrimitives.ReadInt64LittleEndian(sum) : null;
    }

    /// <summary>
    /// Bytes of all files of the cache and of what was promised, at least, as those noted who had the turn before; null where nobody did.
    /// Written back when the turn ends.
    /// </summary>
    public long? CachedBytes { get; set; }

    /// <summary>
    /// Waits for the turn, about two seconds at most: who has it needs it for the moment of a sum, or of a walk through the folder.
    /// </summary>
    /// <exception cref="IOException">The file cannot be opened, or others did not let go of it.</exception>
    public static CacheLock Take(string path, CancellationToken cancellationToken)
    {
        for (var polls = 0; polls < MaxPolls; polls++)
        {
            if (TryTake(path) is { } held)
            {
                return held;
            }

            cancellationToken.WaitHandle.WaitOne(Poll);
            cancellationToken.ThrowIfCancellationRequested();
        }

        throw Errors.CacheLockHeld(path);
    }

    public void Dispose()
    {
        using (_file)
        {
            if (CachedBytes is { } bytes)
            {
                Span<byte> sum = stackalloc byte[sizeof(long)];
                BinaryPrimitives.WriteInt64LittleEndian(sum, bytes);
                RandomAccess.Write(_file, sum, 0);
            }
        }
    }

    private static CacheLock? TryTake(string path) =>
        ExclusiveFile.TryOpen(path, FileMode.OpenOrCreate) is { } file ? new(file) : null;
}
