using System.Runtime.InteropServices;
using System.Text;
using Microsoft.Win32.SafeHandles;

namespace CloudShards.Cli;

/// <summary>Tells pipes, sockets and devices from files. To open a pipe as a file waits until somebody writes to it, which may be for ever.</summary>
internal static class SpecialFile
{
    private const int ReadOnly = 0;

    // Of Linux and of the others, after their fcntl.h.
    private static readonly int NonBlocking = OperatingSystem.IsLinux() ? 0x800 : 0x4;

    /// <summary>Whether a path leads to something that cannot be read from any place of it.</summary>
    public static bool IsOne(string path)
    {
        if (OperatingSystem.IsWindows())
        {
            return false;
        }

        using var handle = new SafeFileHandle(Open([.. Encoding.UTF8.GetBytes(path), 0], ReadOnly | NonBlocking), ownsHandle: true);
        if (handle.IsInvalid)
        {
            // Whoever opens it is told why it cannot be opened.
            return false;
        }

        try
        {
            RandomAccess.GetLength(handle);
            return false;
        }
        catch (NotSupportedException)
        {
            return true;
        }
    }

    [DllImport("libc", EntryPoint = "open", SetLastError = true)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static extern int Open(byte[] path, int flags);
}
