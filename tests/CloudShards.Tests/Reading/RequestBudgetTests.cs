using Microsoft.Extensions.Time.Testing;

namespace CloudShards.Tests;

public sealed class RequestBudgetTests
{
    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task RequestsWaitForCountAndForBytesInTheOrderOfTheirComing()
    {
        var budget = new RequestBudget(2, 100);
        var first = await budget.EnterAsync(60, Token);
        var second = budget.EnterAsync(60, Token);
        var third = budget.EnterAsync(10, Token);
        Assert.False(second.IsCompleted || third.IsCompleted);

        first.Dispose();
        using var lease = await second;
        (await third).Dispose();
        (await budget.EnterAsync(40, Token)).Dispose();
        var tooLarge = budget.EnterAsync(41, Token);
        Assert.False(tooLarge.IsCompleted);
        lease.Dispose();
        await tooLarge;
    }

    [Fact]
    public async Task ARequestLargerThanTheBudgetRunsAlone()
    {
        var budget = new RequestBudget(4, 100);
        var large = await budget.EnterAsync(1_000, Token);
        var small = budget.EnterAsync(1, Token);

        Assert.False(small.IsCompleted);
        large.Dispose();
        (await small).Dispose();
    }

    [Fact]
    public async Task ARefusalHalvesTheRequestsAtOnceAndSuccessesBringThemBack()
    {
        var budget = new RequestBudget(8, 100);
        var round = budget.Round;
        Assert.Equal([4, 4, 2, 1, 1], new[] { budget.Narrow(round), budget.Narrow(round), budget.Narrow(1), budget.Narrow(2), budget.Narrow(3) });
        var only = await budget.EnterAsync(1, Token);
        var next = budget.EnterAsync(1, Token);
        Assert.False(next.IsCompleted);

        budget.Widen();
        var second = await next;
        var third = budget.EnterAsync(1, Token);
        Assert.False(third.IsCompleted);
        only.Dispose();
        second.Dispose();
        (await third).Dispose();
        for (var i = 0; i < 100; i++)
        {
            budget.Widen();
        }

        var all = await Task.WhenAll(Enumerable.Range(0, 8).Select(_ => budget.EnterAsync(1, Token).AsTask()));
        Assert.False(budget.EnterAsync(1, Token).AsTask().IsCompleted);
        Assert.Equal(8, all.Length);
    }

    [Fact]
    public async Task ARequestThatPausesLetsAnotherRunAndComesBeforeTheNext()
    {
        var (budget, time) = (new RequestBudget(1, 100), new FakeTimeProvider());
        using var first = await budget.EnterAsync(60, Token);
        var second = budget.EnterAsync(40, Token);
        var third = budget.EnterAsync(1, Token);
        Assert.False(second.IsCompleted);

        var pause = budget.PauseAsync(TimeSpan.FromSeconds(1), time, Token).AsTask();
        var running = await second;
        time.Advance(TimeSpan.FromSeconds(1));
        Assert.False(pause.IsCompleted || third.IsCompleted);
        running.Dispose();
        await pause;

        Assert.False(third.IsCompleted);
        first.Dispose();
        (await third).Dispose();
    }

    [Fact]
    public async Task APausedRequestKeepsItsBytes()
    {
        var (budget, time) = (new RequestBudget(2, 100), new FakeTimeProvider());
        var large = await budget.EnterAsync(1_000, Token);
        var pause = budget.PauseAsync(TimeSpan.FromSeconds(1), time, Token).AsTask();
        var other = budget.EnterAsync(1, Token);
        Assert.False(other.IsCompleted);

        time.Advance(TimeSpan.FromSeconds(1));
        await pause;
        large.Dispose();
        (await other).Dispose();
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task APauseThatIsCancelledLeavesTheBudgetAsItWas(bool isBlocking)
    {
        var budget = new RequestBudget(1, 100);
        var paused = await budget.EnterAsync(10, Token);
        using var stop = new CancellationTokenSource();
        var pause = isBlocking
            ? Task.Run(() => budget.Pause(TimeSpan.FromDays(1), TimeProvider.System, stop.Token), Token)
            : budget.PauseAsync(TimeSpan.FromDays(1), TimeProvider.System, stop.Token).AsTask();

        await stop.CancelAsync();

        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => pause);
        var next = budget.EnterAsync(10, Token);
        Assert.False(next.IsCompleted);
        paused.Dispose();
        (await next).Dispose();
    }

    [Fact]
    public async Task WhoStopsWaitingIsInNobodysWay()
    {
        var budget = new RequestBudget(2, 100);
        var running = await budget.EnterAsync(50, Token);
        using var stop = new CancellationTokenSource();
        var large = budget.EnterAsync(100, stop.Token).AsTask();
        var small = budget.EnterAsync(50, Token);
        var blocked = Task.Run(() => budget.Enter(100, stop.Token), Token);
        Assert.False(small.IsCompleted);

        await stop.CancelAsync();

        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => large);
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => blocked);
        (await small).Dispose();
        running.Dispose();
        budget.Enter(100, Token).Dispose();
    }
}
