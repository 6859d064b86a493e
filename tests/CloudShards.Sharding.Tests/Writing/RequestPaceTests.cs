using Azure;
using Microsoft.Extensions.Time.Testing;

namespace CloudShards.Sharding.Tests.Writing;

public sealed class RequestPaceTests
{
    private readonly FakeTimeProvider _clock = new() { AutoAdvanceAmount = TimeSpan.Zero };

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task NoMoreIsUnderWayThanIsAllowed()
    {
        var pace = new RequestPace(3, _clock);
        var gate = new TaskCompletionSource();
        var (running, most) = (0, 0);
        var work = Enumerable.Range(0, 10).Select(_ => pace.RunAsync(
            async token =>
            {
                most = Math.Max(most, Interlocked.Increment(ref running));
                await gate.Task.WaitAsync(token);
                Interlocked.Decrement(ref running);
            },
            Token)).ToArray();

        Assert.Equal(3, running);
        gate.SetResult();
        await Task.WhenAll(work);

        Assert.InRange(most, 1, 3);
    }

    [Fact]
    public async Task ATimeOfTheServicesThatIsOverIsAComplaintAndItsOtherFailuresAreNot()
    {
        var pace = new RequestPace(4, _clock);
        var calls = 0;
        var work = pace.RunAsync(_ => Task.FromResult(++calls == 1 ? throw Failure("OperationTimedOut") : calls), Token);
        Assert.Equal(2, pace.Allowed);
        _clock.Advance(TimeSpan.FromSeconds(1));
        Assert.Equal(2, await work);

        await Assert.ThrowsAsync<RequestFailedException>(() => pace.RunAsync(_ => throw Failure("InternalError"), Token));

        static RequestFailedException Failure(string code) => new(500, "no", code, null);
    }

    [Theory]
    [InlineData(503)]
    [InlineData(429)]
    public async Task AComplaintHalvesWhatIsAllowedAndTheWorkIsDoneAgainLater(int status)
    {
        var pace = new RequestPace(8, _clock);
        var calls = 0;
        var work = pace.RunAsync(_ => ++calls <= 2 ? throw new RequestFailedException(status, "too much") : Task.CompletedTask, Token);

        Assert.Equal((1, 4), (calls, pace.Allowed));
        _clock.Advance(TimeSpan.FromMilliseconds(499));
        Assert.Equal(1, calls);
        _clock.Advance(TimeSpan.FromMilliseconds(1));
        Assert.Equal((2, 2), (calls, pace.Allowed));
        _clock.Advance(TimeSpan.FromSeconds(1));
        await work;

        Assert.Equal(3, calls);
    }

    [Fact]
    public async Task WithoutComplaintsItRisesAgainByOneAtATime()
    {
        var pace = new RequestPace(4, _clock);
        var complains = true;
        var slowed = pace.RunAsync(_ => complains ? throw new RequestFailedException(503, "too much") : Task.CompletedTask, Token);
        Assert.Equal(2, pace.Allowed);
        complains = false;

        var allowed = new List<int>();
        for (var i = 0; i < 12; i++)
        {
            await pace.RunAsync(_ => Task.CompletedTask, Token);
            allowed.Add(pace.Allowed);
        }

        Assert.Equal([2, 3, 3, 3, 4, 4, 4, 4, 4, 4, 4, 4], allowed);
        _clock.Advance(TimeSpan.FromSeconds(1));
        await slowed;
    }

    [Fact]
    public async Task AComplaintThatLastsForMinutesIsAnError()
    {
        var pace = new RequestPace(4, _clock);
        var calls = 0;
        var work = pace.RunAsync(_ => throw new RequestFailedException(503, $"call {++calls}"), Token);
        for (var i = 0; i < 20; i++)
        {
            _clock.Advance(TimeSpan.FromSeconds(30));
        }

        var error = await Assert.ThrowsAsync<RequestFailedException>(() => work);
        Assert.Equal("call 12", error.Message);
        Assert.Equal(1, pace.Allowed);
    }

    [Theory]
    [InlineData(400)]
    [InlineData(403)]
    [InlineData(500)]
    public async Task AnyOtherRefusalIsAnErrorAtOnce(int status)
    {
        var pace = new RequestPace(4, _clock);

        await Assert.ThrowsAsync<RequestFailedException>(() => pace.RunAsync(_ => throw new RequestFailedException(status, "no"), Token));

        Assert.Equal(4, pace.Allowed);
    }

    [Fact]
    public async Task WhoeverIsCancelledWhileItWaitsLetsOthersPass()
    {
        var pace = new RequestPace(1, _clock);
        var gate = new TaskCompletionSource();
        var first = pace.RunAsync(token => gate.Task.WaitAsync(token), Token);
        using var stop = new CancellationTokenSource();
        var gone = pace.RunAsync(_ => Task.CompletedTask, stop.Token);
        var last = pace.RunAsync(_ => Task.CompletedTask, Token);

        await stop.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => gone);
        Assert.False(last.IsCompleted);
        gate.SetResult();
        await Task.WhenAll(first, last);
    }
}
