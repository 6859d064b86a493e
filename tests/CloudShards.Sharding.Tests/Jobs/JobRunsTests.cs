using Azure;
using Microsoft.Extensions.Time.Testing;

namespace CloudShards.Sharding.Tests.Jobs;

public sealed class JobRunsTests : IDisposable
{
    private static readonly DateTimeOffset Noon = new(2026, 11, 25, 12, 0, 0, TimeSpan.Zero);

    private readonly TemporaryFolder _folder = new();
    private readonly FakeTimeProvider _clock = new(Noon);
    private readonly StoreWatch _work;
    private readonly JobRuns _runs;
    private readonly JobStore _jobs;

    public JobRunsTests()
    {
        _work = new(new DirectoryShardStore(_folder.Path));
        _jobs = new(_work, _clock);
        _runs = new(_jobs, null, _clock);
    }

    /// <summary>What may be wrong when a report is made.</summary>
    public static TheoryData<Exception> Troubles =>
    [
        new RequestFailedException(503, "busy"), new AggregateException("retries failed"), new IOException("reset"), new InvalidDataException("no status"),
        new InvalidOperationException("contended"),
    ];

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public void Dispose() => _folder.Dispose();

    [Theory]
    [MemberData(nameof(Troubles))]
    public async Task ReportsThatFailEndNeitherTheWorkNorTheReportsAfterThem(Exception trouble)
    {
        await _runs.BeginAsync("job", "model.pt", "0x1", Token);
        var done = new TaskCompletionSource<int>();
        var asked = 0;
        _work.Asking = _ => ++asked == 1 ? throw trouble : Task.CompletedTask;

        var work = _runs.ReportWhileAsync("job", done.Task, present => present with { ShardsCreated = 7 }, Token);
        while (asked < 2)
        {
            _clock.Advance(JobRuns.ReportInterval);
            await Task.Yield();
        }

        done.SetResult(1);
        Assert.Equal(1, await work);
    }

    [Fact]
    public async Task WhatTheWorkFailedOfIsSaidEvenIfTheStatusIsGone()
    {
        var failure = await Assert.ThrowsAsync<IOException>(() => _runs.RunAsync("job", () => throw new IOException("disk full"), Token));

        Assert.Equal("disk full", failure.Message);
    }

    [Fact]
    public async Task AJobThatAnotherWorkerEndedEndsTheWorkWithThatEnd()
    {
        await _runs.BeginAsync("job", "model.pt", "0x1", Token);
        var end = await _runs.UpdateAsync("job", present => present with { State = JobState.Failed }, Token);

        var status = await _runs.RunAsync(
            "job",
            async () =>
            {
                await _runs.HoldAsync("job", Token);
                throw new InvalidOperationException("It went on.");
            },
            Token);

        Assert.Equal(end, status);
        await Assert.ThrowsAsync<JobEndedException>(() => _runs.EnsureOpenAsync("job", Token).AsTask());
    }

    [Fact]
    public async Task AJobIsTakenOnceItsClaimHasEndedAndNotOnceItIsOver()
    {
        var (begun, isTaken) = await _runs.TakeAsync("job", "model.pt", "0x1", Token);
        Assert.Equal((true, Noon + JobRuns.ClaimLifetime), (isTaken, begun.ClaimedUntil));
        Assert.True(_runs.IsClaimed(begun));

        _clock.Advance(JobRuns.ClaimLifetime);
        Assert.False(_runs.IsClaimed(begun));

        await _runs.UpdateAsync("job", present => present with { State = JobState.Committed }, Token);
        Assert.False((await _runs.TakeAsync("job", "model.pt", "0x1", Token)).IsTaken);
    }

    /// <summary>The rate is bytes done by the time since the begin; an event that is repeated is no work.</summary>
    [Fact]
    public async Task AnEventThatIsRepeatedDoesNotSlowDownTheRate()
    {
        await _runs.BeginAsync("job", "model.pt", "0x1", Token);
        _clock.Advance(TimeSpan.FromSeconds(10));
        await _runs.UpdateAsync("job", present => present with { Bytes = new(1000, 1000), State = JobState.Sharding }, Token);
        _clock.Advance(TimeSpan.FromHours(1));

        var again = await _runs.BeginAsync("job", "model.pt", "0x1", Token);

        Assert.Equal(100, again.BytesPerSecond);
    }
}
