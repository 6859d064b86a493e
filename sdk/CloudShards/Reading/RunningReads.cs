namespace CloudShards;

/// <summary>The reads that are running, so that closing can end them and wait until none touches its destination any more.</summary>
internal sealed class RunningReads : IAsyncDisposable
{
    private readonly Lock _turn = new();
    private readonly CancellationTokenSource _closing = new();
    private readonly TaskCompletionSource _ended = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private bool _isClosed;
    private int _running;

    /// <summary>Begins a read; disposing the result ends it.</summary>
    /// <exception cref="ObjectDisposedException">No read may begin any more.</exception>
    public Lease Begin(object owner, CancellationToken cancellationToken)
    {
        lock (_turn)
        {
            ObjectDisposedException.ThrowIf(_isClosed, owner);
            _running++;
            return new(this, CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, _closing.Token));
        }
    }

    /// <summary>Cancels what is running and waits for its end.</summary>
    public async ValueTask DisposeAsync()
    {
        bool isFirst;
        lock (_turn)
        {
            isFirst = !_isClosed;
            _isClosed = true;
            if (isFirst && _running == 0)
            {
                _ended.SetResult();
            }
        }

        if (isFirst)
        {
            await _closing.CancelAsync().ConfigureAwait(false);
        }

        await _ended.Task.ConfigureAwait(false);
        _closing.Dispose();
    }

    private void End()
    {
        lock (_turn)
        {
            if (--_running == 0 && _isClosed)
            {
                _ended.SetResult();
            }
        }
    }

    /// <summary>One running read.</summary>
    internal readonly struct Lease(RunningReads reads, CancellationTokenSource source) : IDisposable
    {
        /// <summary>Cancelled by the caller, or by closing.</summary>
        public CancellationToken Token => source.Token;

        public void Dispose()
        {
            source.Dispose();
            reads.End();
        }
    }
}
