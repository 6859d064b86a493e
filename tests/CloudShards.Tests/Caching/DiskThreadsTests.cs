using System.Diagnostics;
using Microsoft.Extensions.Time.Testing;

namespace CloudShards.Tests;

public sealed class DiskThreadsTests
{
    private readonly FakeTimeProvider _time = new();

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task AfterASlowAnswerNothingWaitsOnTheCallersThread()
    {
        var threads = new DiskThreads(_time);
        var caller = Environment.CurrentManagedThreadId;
        Assert.True(await threads.DoAsync(() => IsCallersAfter(TimeSpan.Zero), Token));
        Assert.True(await threads.DoAsync(() => IsCallersAfter(TimeSpan.FromMilliseconds(2)), Token));
        using var disk = new ManualResetEventSlim();

        // None of them is answered before the disk is, but the calls return.
        var waiting = Enumerable.Range(0, 20).Select(_ => threads.DoAsync(
            () =>
            {
                disk.Wait(Token);
                return Thread.CurrentThread.IsThreadPoolThread;
            },
            Token).AsTask()).ToList();
        disk.Set();
        Assert.All(await Task.WhenAll(waiting), Assert.False);
        caller = Environment.CurrentManagedThreadId;
        _time.Advance(TimeSpan.FromSeconds(1));

        Assert.True(await threads.DoAsync(() => IsCallersAfter(TimeSpan.Zero), Token));

        bool IsCallersAfter(TimeSpan wait)
        {
            _time.Advance(wait);
            return Environment.CurrentManagedThreadId == caller;
        }
    }

    [Theory]
    [InlineData(0)]
    [InlineData(2)]
    public async Task WhatFailsFailsForItsCaller(int milliseconds)
    {
        var threads = new DiskThreads(_time);
        await threads.DoAsync(
            () =>
            {
                _time.Advance(TimeSpan.FromMilliseconds(milliseconds));
                return true;
            },
            Token);

        await Assert.ThrowsAsync<UnreachableException>(async () => await threads.DoAsync<bool>(() => throw new UnreachableException(), Token));
        await Assert.ThrowsAnyAsync<OperationCanceledException>(async () => await threads.DoAsync(() => true, new CancellationToken(canceled: true)));
    }
}
