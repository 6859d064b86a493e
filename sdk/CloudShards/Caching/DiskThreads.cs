namespace CloudShards;

/// <summary>
/// Threads of the cache's own, where its asynchronous calls wait for the disk. Outside Windows the runtime reads files by blocking a
/// thread of the pool, also where it is asked to read asynchronously; a slow disk would leave a service no thread for its requests.
/// </summary>
/// <remarks>
/// To hand over costs as much as to read a small shard that the page cache has. So while the disk answers at once, the caller's thread does
/// the work; after one answer that took a millisecond, these threads do for the next second.
/// </remarks>
internal sealed class DiskThreads : TaskScheduler
{
    private const int MaxThreads = 16;
    private static readonly TimeSpan Idle = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan Slow = TimeSpan.FromMilliseconds(1);
    private static readonly TimeSpan SlowLength = TimeSpan.FromSeconds(1);
    private static readonly DiskThreads All = new(TimeProvider.System);

    private readonly object _turn = new();
    private readonly TimeProvider _time;
    private readonly Queue<Task> _waiting = [];
    private int _threads;
    private int _idle;
    private Answer? _slow;

    /// <summary>Threads that judge the disk by a clock; the cache has one set of them, for all folders.</summary>
    internal DiskThreads(TimeProvider time) => _time = time;

    /// <inheritdoc/>
    public override int MaximumConcurrencyLevel => MaxThreads;

    /// <summary>Runs what may wait for the disk. It is not begun once <paramref name="cancellationToken"/> is cancelled; what began is awaited.</summary>
    public static ValueTask<T> RunAsync<T>(Func<T> work, CancellationToken cancellationToken) => All.DoAsync(work, cancellationToken);

    /// <inheritdoc cref="RunAsync{T}"/>
    public static async ValueTask RunAsync(Action work, CancellationToken cancellationToken) =>
        await RunAsync(
            () =>
            {
                work();
                return true;
            },
            cancellationToken).ConfigureAwait(false);

    /// <inheritdoc cref="RunAsync{T}"/>
    internal async ValueTask<T> DoAsync<T>(Func<T> work, CancellationToken cancellationToken)
    {
        cancellationToken.ThrowIfCancellationRequested();
        return Volatile.Read(ref _slow) is { } slow && _time.GetElapsedTime(slow.At) < SlowLength
            ? await HandOver(work, cancellationToken).ConfigureAwait(false)
            : Measure(work);
    }

    /// <inheritdoc/>
    protected override void QueueTask(Task task)
    {
        lock (_turn)
        {
            _waiting.Enqueue(task);
            if (_idle >= _waiting.Count || _threads == MaxThreads)
            {
                Monitor.Pulse(_turn);
                return;
            }

            _threads++;
        }

        new Thread(Work) { IsBackground = true, Name = "CloudShards cache" }.UnsafeStart();
    }

    /// <inheritdoc/>
    protected override bool TryExecuteTaskInline(Task task, bool taskWasPreviouslyQueued) => false;

    /// <inheritdoc/>
    protected override IEnumerable<Task> GetScheduledTasks()
    {
        lock (_turn)
        {
            return [.. _waiting];
        }
    }

    private Task<T> HandOver<T>(Func<T> work, CancellationToken cancellationToken) => Task.Factory.StartNew(
        () => Measure(work), cancellationToken, TaskCreationOptions.RunContinuationsAsynchronously, this);

    private T Measure<T>(Func<T> work)
    {
        var begun = _time.GetTimestamp();
        var result = work();
        if (_time.GetElapsedTime(begun) >= Slow)
        {
            Volatile.Write(ref _slow, new(_time.GetTimestamp()));
        }

        return result;
    }

    private void Work()
    {
        while (TryTake() is { } task)
        {
            TryExecuteTask(task);
        }
    }

    private Task? TryTake()
    {
        lock (_turn)
        {
            while (_waiting.Count == 0)
            {
                _idle++;
                var isWoken = Monitor.Wait(_turn, Idle);
                _idle--;
                if (!isWoken && _waiting.Count == 0)
                {
                    _threads--;
                    return null;
                }
            }

            return _waiting.Dequeue();
        }
    }

    private sealed record Answer(long At);
}
