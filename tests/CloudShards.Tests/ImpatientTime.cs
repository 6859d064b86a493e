using System.Collections.Concurrent;

namespace CloudShards.Tests;

/// <summary>A clock whose waits end at once, and are noted.</summary>
internal sealed class ImpatientTime : TimeProvider
{
    public ConcurrentQueue<TimeSpan> Waits { get; } = [];

    public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
    {
        Waits.Enqueue(dueTime);
        return System.CreateTimer(callback, state, TimeSpan.Zero, Timeout.InfiniteTimeSpan);
    }
}
