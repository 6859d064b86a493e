namespace CloudShards;

/// <summary>
/// Lets requests in while their number and their bytes stay within bounds; the others wait, first come, first served. A request that is
/// larger than all of the bytes is let in alone. Where the service is asked too much, the bound on the number is halved, and then grows
/// again by one for as many requests as it lets in at once. Checkpoints may share one: <see cref="ShardedCheckpointOptions.Budget"/>.
/// </summary>
public sealed class RequestBudget
{
    private readonly Lock _turn = new();
    private readonly LinkedList<Waiter> _waiting = [];
    private int _requests;
    private long _bytes;
    private double _limit;
    private int _round;

    /// <summary>A budget.</summary>
    /// <param name="maxRequests">Requests that may run at once, at least 1.</param>
    /// <param name="maxBytes">Bytes that they together may have asked for, at least 1.</param>
    public RequestBudget(int maxRequests, long maxBytes)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(maxRequests, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(maxBytes, 1);
        (MaxRequests, MaxBytes, _limit) = (maxRequests, maxBytes, maxRequests);
    }

    /// <summary>Requests that may run at once.</summary>
    public int MaxRequests { get; }

    /// <summary>Bytes that they together may have asked for.</summary>
    public long MaxBytes { get; }

    /// <summary>Counts the halvings, so that requests which ran beside each other halve the bound once.</summary>
    internal int Round => Volatile.Read(ref _round);

    /// <summary>Takes note of a refusal of a request that began in a round; the requests that may now run at once.</summary>
    internal int Narrow(int round)
    {
        lock (_turn)
        {
            if (round == _round)
            {
                _limit = Math.Max(1, _limit / 2);
                _round++;
            }

            return (int)_limit;
        }
    }

    /// <summary>Takes note of a request that went well.</summary>
    internal void Widen()
    {
        lock (_turn)
        {
            _limit = Math.Min(MaxRequests, _limit + (1 / _limit));
            Admit();
        }
    }

    /// <summary>Waits until a request of so many bytes may run; disposing the result ends it.</summary>
    internal async ValueTask<Lease> EnterAsync(long bytes, CancellationToken cancellationToken)
    {
        cancellationToken.ThrowIfCancellationRequested();
        if (Join(bytes) is { } waiter)
        {
            using var turn = waiter.Granted;
            try
            {
                await turn.WaitAsync(cancellationToken).ConfigureAwait(false);
            }
            catch (OperationCanceledException)
            {
                Leave(waiter);
                throw;
            }
        }

        return new(this, bytes);
    }

    /// <summary>As <see cref="EnterAsync"/>, on the caller's thread.</summary>
    internal Lease Enter(long bytes, CancellationToken cancellationToken)
    {
        cancellationToken.ThrowIfCancellationRequested();
        if (Join(bytes) is { } waiter)
        {
            using var turn = waiter.Granted;
            try
            {
                turn.Wait(cancellationToken);
            }
            catch (OperationCanceledException)
            {
                Leave(waiter);
                throw;
            }
        }

        return new(this, bytes);
    }

    /// <summary>
    /// Lets others run instead of a request that is running, for a while, and then waits until it may run again, before those that have not
    /// begun. It keeps its bytes: it still has its memory. Whatever comes of it, the request counts as running afterwards.
    /// </summary>
    internal async ValueTask PauseAsync(TimeSpan delay, TimeProvider time, CancellationToken cancellationToken)
    {
        Rest();
        Waiter? waiter = null;
        try
        {
            await Task.Delay(delay, time, cancellationToken).ConfigureAwait(false);
            waiter = Rejoin();
            if (waiter is not null)
            {
                await waiter.Granted.WaitAsync(cancellationToken).ConfigureAwait(false);
            }
        }
        catch (OperationCanceledException)
        {
            Resume(waiter);
            throw;
        }
    }

    /// <summary>As <see cref="PauseAsync"/>, on the caller's thread.</summary>
    internal void Pause(TimeSpan delay, TimeProvider time, CancellationToken cancellationToken)
    {
        Rest();
        Waiter? waiter = null;
        try
        {
            using var over = new ManualResetEventSlim();
            using var timer = time.CreateTimer(static over => ((ManualResetEventSlim)over!).Set(), over, delay, Timeout.InfiniteTimeSpan);
            over.Wait(cancellationToken);
            waiter = Rejoin();
            waiter?.Granted.Wait(cancellationToken);
        }
        catch (OperationCanceledException)
        {
            Resume(waiter);
            throw;
        }
    }

    private void Rest()
    {
        lock (_turn)
        {
            _requests--;
            Admit();
        }
    }

    private void Resume(Waiter? waiter)
    {
        lock (_turn)
        {
            // Where its turn came meanwhile, it is counted already.
            _requests += waiter is null || _waiting.Remove(waiter) ? 1 : 0;
        }
    }

    private Waiter? Join(long bytes)
    {
        lock (_turn)
        {
            if (_waiting.Count == 0 && Fits(bytes))
            {
                Count(bytes);
                return null;
            }

            var waiter = new Waiter(bytes);
            _waiting.AddLast(waiter);
            return waiter;
        }
    }

    private Waiter? Rejoin()
    {
        lock (_turn)
        {
            if (Fits(0))
            {
                Count(0);
                return null;
            }

            var waiter = new Waiter(0);
            _waiting.AddFirst(waiter);
            return waiter;
        }
    }

    private void Leave(Waiter waiter)
    {
        lock (_turn)
        {
            if (!_waiting.Remove(waiter))
            {
                (_requests, _bytes) = (_requests - 1, _bytes - waiter.Bytes);
            }

            Admit();
        }
    }

    private void Release(long bytes)
    {
        lock (_turn)
        {
            (_requests, _bytes) = (_requests - 1, _bytes - bytes);
            Admit();
        }
    }

    private void Admit()
    {
        while (_waiting.First is { Value: var waiter } && Fits(waiter.Bytes))
        {
            _waiting.RemoveFirst();
            Count(waiter.Bytes);
            waiter.Granted.Release();
        }
    }

    // What waits with its bytes at hand needs no others.
    private bool Fits(long bytes) => _requests < (int)_limit && (bytes == 0 || _bytes == 0 || _bytes + bytes <= MaxBytes);

    private void Count(long bytes) => (_requests, _bytes) = (_requests + 1, _bytes + bytes);

    /// <summary>A request that is running.</summary>
    internal readonly struct Lease(RequestBudget budget, long bytes) : IDisposable
    {
        public void Dispose() => budget.Release(bytes);
    }

    private sealed class Waiter(long bytes)
    {
        public long Bytes => bytes;

        public SemaphoreSlim Granted { get; } = new(0, 1);
    }
}
