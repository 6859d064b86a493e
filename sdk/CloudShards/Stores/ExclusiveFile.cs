using Microsoft.Win32.SafeHandles;

namespace CloudShards;

/// <summary>
/// A file that one alone has open, among all processes: what makes them take turns, and what tells that one is alive. The operating system
/// lets go of it when its process dies.
/// </summary>
internal static class ExclusiveFile
{
    /// <summary>Opens a file for oneself alone; null where somebody else has it open.</summary>
    public static SafeFileHandle? TryOpen(string path, FileMode mode)
    {
        try
        {
            return File.OpenHandle(path, mode, FileAccess.ReadWrite, FileShare.None);
        }
        catch (IOException e) when (IsHeld(e))
        {
            return null;
        }
    }

    // ERROR_SHARING_VIOLATION; EWOULDBLOCK of Linux and of macOS.
    private static bool IsHeld(IOException e) => OperatingSystem.IsWindows() ? (e.HResult & 0xFFFF) == 32 : e.HResult is 11 or 35;
}
