namespace CloudShards;

/// <summary>
/// Threads of the cache's own, where its asynchronous calls wait for the disk. Outside Windows the runtime reads files by blocking a
/// thread of the pool, also where it is asked to read asynchronously; a slow disk would leave a service no thread for its requests.
/// </summary>
/// <remarks>Handing work over costs about 5 µs, and makes nothing slower that is worth a file.</remarks>
internal sealed class DiskThreads : TaskScheduler
{
    private const int MaxThreads = 16;
    private static readonly TimeSpan Idle = TimeSpan.FromSeconds(10);
    private static readonly DiskThreads All = new();

    private readonly object _turn = new();
    private readonly Queue<Task> _waiting = [];
    private int _threads;
    private int _idle;

    private DiskThreads()
    {
    }

    /// <inheritdoc/>
    public override int MaximumConcurrencyLevel => MaxThreads;

    /// <summary>Runs what may wait for the disk. It is not begun once <paramref name="cancellationToken"/> is cancelled; what began is awaited.</summary>
    public static Task<T> RunAsync<T>(Func<T> work, CancellationToken cancellationToken) =>
        Task.Factory.StartNew(work, cancellationToken, TaskCreationOptions.RunContinuationsAsynchronously, All);

    /// <inheritdoc cref="RunAsync{T}"/>
    public static Task RunAsync(Action work, CancellationToken cancellationToken) =>
        Task.Factory.StartNew(work, cancellationToken, TaskCreationOptions.RunContinuationsAsynchronously, All);

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
}
