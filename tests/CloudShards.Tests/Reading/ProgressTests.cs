namespace CloudShards.Tests;

public sealed class ProgressTests : IAsyncLifetime
{
    private static readonly TimeSpan Long = TimeSpan.FromSeconds(30);

    private readonly StoredCheckpoint _stored = new();

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public ValueTask InitializeAsync() => _stored.InitializeAsync();

    public ValueTask DisposeAsync() => _stored.DisposeAsync();

    [Fact]
    public async Task NoReadWaitsForWhoIsTold()
    {
        await using var checkpoint = await _stored.OpenAsync(new() { MaxRequestBytes = 1_000, MaxConcurrency = 2 });
        using var allAreRead = new CountdownEvent(20);
        _stored.Store.Read = (_, _) => allAreRead.Signal();
        var reports = new Reports(report => Assert.True(allAreRead.Wait(Long)));

        await checkpoint.ReadAllAsync([ShardRead.Whole(checkpoint["embed.weight"], new byte[20_000])], reports, Token);

        Assert.InRange(reports.All.Count, 1, 3);
        Assert.Equal((20_000, 1), (reports.All[^1].BytesRead, reports.All[^1].TensorsRead));
    }

    [Fact]
    public async Task ReportsNeitherOverlapNorGoBack()
    {
        await using var checkpoint = await _stored.OpenAsync(new() { MaxRequestBytes = 100 });
        var running = 0;
        var reports = new Reports(report =>
        {
            Assert.Equal(1, Interlocked.Increment(ref running));
            Thread.Yield();
            Interlocked.Decrement(ref running);
        });

        await checkpoint.ReadIntoAsync(
            [.. checkpoint.Tensors.Select(tensor => new PiecewiseTarget(tensor, isStaged: true))], reports, Token);

        Assert.Equal(reports.All.OrderBy(report => report.BytesRead), reports.All);
        Assert.Equal(reports.All.OrderBy(report => report.TensorsRead), reports.All);
        Assert.All(reports.All, report => Assert.Equal((21_016, 5), (report.BytesTotal, report.TensorsTotal)));
        Assert.Equal((21_016, 5), (reports.All[^1].BytesRead, reports.All[^1].TensorsRead));
    }

    [Fact]
    public async Task WhatWhoIsToldThrowsEndsTheRead()
    {
        await using var checkpoint = await _stored.OpenAsync(new() { MaxRequestBytes = 1_000, MaxConcurrency = 1 });
        using var told = new ManualResetEventSlim();
        var reports = new Reports(report =>
        {
            told.Set();
            throw new TimeoutException();
        });
        _stored.Store.Read = (offset, _) => Assert.True(offset == 0 || told.Wait(Long));

        await Assert.ThrowsAsync<TimeoutException>(() => checkpoint.ReadAllAsync(
            [ShardRead.Whole(checkpoint["embed.weight"], new byte[20_000])], reports, Token));

        Assert.InRange(_stored.Store.Count("read"), 1, 20);
    }

    [Fact]
    public async Task NothingIsToldAfterAFailedReadHasEnded()
    {
        await using var checkpoint = await _stored.OpenAsync(new() { MaxRequestBytes = 1_000, MaxConcurrency = 1 });
        var (isOver, wasLate) = (false, false);
        var reports = new Reports(report => wasLate |= Volatile.Read(ref isOver));
        _stored.Store.Read = (offset, _) =>
        {
            if (offset == 5_000)
            {
                throw new TimeoutException();
            }
        };

        await Assert.ThrowsAsync<TimeoutException>(() => checkpoint.ReadAllAsync(
            [ShardRead.Whole(checkpoint["embed.weight"], new byte[20_000])], reports, Token));
        Volatile.Write(ref isOver, true);

        Assert.Equal(5_000, reports.All[^1].BytesRead);
        Assert.False(wasLate);
    }

    private sealed class Reports(Action<ShardProgress> told) : IProgress<ShardProgress>
    {
        public List<ShardProgress> All { get; } = [];

        public void Report(ShardProgress value)
        {
            All.Add(value);
            told(value);
        }
    }
}
