using Azure;
using Azure.Storage.Blobs.Models;

namespace CloudShards.Sharding;

/// <summary>
/// How many requests' worth of work are under way at once. When the service says that it is asked too much, the number is halved and the work
/// tried again after a while; after as many pieces of work without a complaint as are allowed at once, it rises by one.
/// </summary>
/// <param name="most">The number to begin with, and never to exceed.</param>
/// <param name="clock">The clock of the waits.</param>
internal sealed class RequestPace(int most, TimeProvider clock)
{
    // Half a second, doubled each time up to half a minute: about three minutes in all. After that the queue tries again.
    private const int MaxAttempts = 12;
    private static readonly TimeSpan FirstDelay = TimeSpan.FromMilliseconds(500);
    private static readonly TimeSpan MaxDelay = TimeSpan.FromSeconds(30);

    private readonly int _most = most;
    private readonly Lock _turn = new();
    private readonly Queue<TaskCompletionSource> _waiting = new();
    private int _running;
    private int _quiet;

    /// <summary>How many are allowed at once now.</summary>
    public int Allowed { get; private set; } = most;

    /// <summary>Does a piece of work when its turn comes. It may be done again from its start.</summary>
    /// <exception cref="RequestFailedException">The service refused it, or was asked too much for minutes.</exception>
    public async Task RunAsync(Func<CancellationToken, Task> work, CancellationToken cancellationToken)
    {
        for (var attempt = 1; !await TryAsync(work, attempt == MaxAttempts, cancellationToken).ConfigureAwait(false); attempt++)
        {
            var delay = Math.Min(MaxDelay.TotalMilliseconds, FirstDelay.TotalMilliseconds * (1L << (attempt - 1)));
            await Task.Delay(TimeSpan.FromMilliseconds(delay), clock, cancellationToken).ConfigureAwait(false);
        }
    }

    /// <summary>As <see cref="RunAsync(Func{CancellationToken, Task}, CancellationToken)"/>, for work that has a result.</summary>
    public async Task<T> RunAsync<T>(Func<CancellationToken, Task<T>> work, CancellationToken cancellationToken)
    {
        T result = default!;
        await RunAsync(async token => { result = await work(token).ConfigureAwait(false); }, cancellationToken).ConfigureAwait(false);
        return result;
    }

    private async Task<bool> TryAsync(Func<CancellationToken, Task> work, bool isLast, CancellationToken cancellationToken)
    {
        await EnterAsync(cancellationToken).ConfigureAwait(false);
        var isThrottled = false;
        try
        {
            await work(cancellationToken).ConfigureAwait(false);
            return true;
        }
        catch (RequestFailedException e) when (IsThrottling(e))
        {
            isThrottled = true;
            ShardingTelemetry.Throttled();
            if (isLast)
            {
                throw;
            }

            return false;
        }
        finally
        {
            Leave(isThrottled);
        }
    }

    // A service that is asked too much also lets requests lie until their time is over.
    private static bool IsThrottling(RequestFailedException e) => e.Status is 429 or 503 || (e.Status == 500 && e.ErrorCode == BlobErrorCode.OperationTimedOut);

    private async Task EnterAsync(CancellationToken cancellationToken)
    {
        TaskCompletionSource turn;
        lock (_turn)
        {
            if (_running < Allowed)
            {
                _running++;
                return;
            }

            turn = new(TaskCreationOptions.RunContinuationsAsynchronously);
            _waiting.Enqueue(turn);
        }

        // Whoever is gone when its turn comes lets it pass.
        await using var gone = cancellationToken.Register(() => turn.TrySetCanceled(cancellationToken)).ConfigureAwait(false);
        await turn.Task.ConfigureAwait(false);
    }

    private void Leave(bool isThrottled)
    {
        lock (_turn)
        {
            _running--;
            if (isThrottled)
            {
                (Allowed, _quiet) = (Math.Max(1, Allowed / 2), 0);
            }
            else if (++_quiet >= Allowed && Allowed < _most)
            {
                (Allowed, _quiet) = (Allowed + 1, 0);
            }

            while (_running < Allowed && _waiting.TryDequeue(out var turn))
            {
                _running += turn.TrySetResult() ? 1 : 0;
            }
        }
    }
}
