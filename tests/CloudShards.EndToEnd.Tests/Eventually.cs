namespace CloudShards.EndToEnd.Tests;

/// <summary>Waits for what other programs do in their own time.</summary>
internal static class Eventually
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);
    private static readonly TimeSpan Interval = TimeSpan.FromMilliseconds(50);

    /// <summary>Looks again and again until there is something.</summary>
    /// <exception cref="TimeoutException">There is nothing after a minute.</exception>
    public static async Task<T> GetAsync<T>(Func<Task<T?>> look)
        where T : class
    {
        using var timeout = CancellationTokenSource.CreateLinkedTokenSource(TestContext.Current.CancellationToken);
        timeout.CancelAfter(Patience);
        using var timer = new PeriodicTimer(Interval);
        while (true)
        {
            if (await look() is { } found)
            {
                return found;
            }

            try
            {
                await timer.WaitForNextTickAsync(timeout.Token);
            }
            catch (OperationCanceledException) when (!TestContext.Current.CancellationToken.IsCancellationRequested)
            {
                throw new TimeoutException($"What was waited for did not happen within {Patience.TotalSeconds:0} s.");
            }
        }
    }

    /// <summary>Looks again and again until it is so.</summary>
    public static Task TrueAsync(Func<Task<bool>> look) => GetAsync(async () => await look() ? "so" : null);
}
