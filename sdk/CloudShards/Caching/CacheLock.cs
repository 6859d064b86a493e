using System.Buffers.Binary;
using Microsoft.Win32.SafeHandles;

namespace CloudShards;

/// <summary>
/// The turn of one writer of a cache folder, among all processes: a lock on a file in which the sum of the cached bytes stands. The
/// operating system frees the lock of a process that died.
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
        CachedBytes = RandomAccess.Read(file, sum, 0) == sum.Length ? BinaryPrimitives.ReadInt64LittleEndian(sum) : 0;
    }

    /// <summary>Bytes of all files of the cache, as its writers noted them; written back when the turn ends.</summary>
    public long CachedBytes { get; set; }

    /// <summary>
    /// Waits for the turn, at most two seconds or a little more: who has it needs it for the moment of a rename, or of a walk through the
    /// folder.
    /// </summary>
    /// <exception cref="IOException">The file cannot be opened, or others did not let go of it; <see cref="IsHeld"/> tells.</exception>
    public static CacheLock Take(string path, CancellationToken cancellationToken)
    {
        for (var polls = 0; ; polls++)
        {
            try
            {
                return new(File.OpenHandle(path, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None));
            }
            catch (IOException e) when (IsHeld(e) && polls < MaxPolls)
            {
                cancellationToken.WaitHandle.WaitOne(Poll);
                cancellationToken.ThrowIfCancellationRequested();
            }
        }
    }

    /// <summary>Whether somebody has a file open, so that it cannot be opened by one alone.</summary>
    public static bool IsHeld(IOException e) =>
        // ERROR_SHARING_VIOLATION; EWOULDBLOCK of Linux and of macOS.
        OperatingSystem.IsWindows() ? (e.HResult & 0xFFFF) == 32 : e.HResult is 11 or 35;

    public void Dispose()
    {
        using (_file)
        {
            Span<byte> sum = stackalloc byte[sizeof(long)];
            BinaryPrimitives.WriteInt64LittleEndian(sum, CachedBytes);
            RandomAccess.Write(_file, sum, 0);
        }
    }
}
