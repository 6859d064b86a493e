using System.Diagnostics;
using System.Runtime.InteropServices;

namespace CloudShards.Fuzzing;

/// <summary>How long a thread has worked. Where the system does not tell that to everybody, how long it took: a busy machine makes that longer.</summary>
internal static class ThreadClock
{
    // CLOCK_THREAD_CPUTIME_ID of linux/time.h.
    private const int ThreadTime = 3;

    /// <summary>The time by which this thread's work is measured; only differences mean anything.</summary>
    public static TimeSpan Now => OperatingSystem.IsLinux() && ReadClock(ThreadTime, out var time) == 0
        ? TimeSpan.FromSeconds(time.Seconds) + TimeSpan.FromMicroseconds(time.Nanoseconds / 1000)
        : Stopwatch.GetElapsedTime(0);

    [DllImport("libc", EntryPoint = "clock_gettime")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static extern int ReadClock(int clock, out Time time);

    [StructLayout(LayoutKind.Sequential)]
    private readonly struct Time
    {
        public readonly nint Seconds;
        public readonly nint Nanoseconds;
    }
}
