using CloudShards.Formats;
using Microsoft.Extensions.Time.Testing;

namespace CloudShards.Tests;

public sealed class BulkReadTests : IAsyncLifetime
{
    private readonly StoredCheckpoint _stored = new();

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public ValueTask InitializeAsync() => _stored.InitializeAsync();

    public ValueTask DisposeAsync() => _stored.DisposeAsync();

    [Theory]
    [InlineData(1, 1)]
    [InlineData(3, 3_000)]
    [InlineData(8, 8 << 20)]
    public async Task ManyRunsAreReadEachToItsPlace(int maxConcurrency, int maxRequestBytes)
    {
        await using var checkpoint = await _stored.OpenAsync(new() { MaxConcurrency = maxConcurrency, MaxRequestBytes = maxRequestBytes });
        var reads = checkpoint.Tensors.Select(tensor => ShardRead.Whole(tensor, new byte[tensor.Bytes])).ToList();

        await checkpoint.ReadAllAsync(reads, cancellationToken: Token);

        Assert.All(reads, read => Assert.Equal(_stored.Contents[read.Tensor.Name], read.Destination.ToArray()));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task ProgressGrowsToTheTotal(bool isKnown)
    {
        var time = new FakeTimeProvider { AutoAdvanceAmount = TimeSpan.FromSeconds(1) };
        await using var checkpoint = await _stored.OpenAsync(new() { MaxRequestBytes = 3_000, TimeProvider = time });
        var reads = checkpoint.Tensors.Select(tensor => ShardRead.Whole(tensor, new byte[tensor.Bytes]));
        var total = _stored.Contents.Values.Sum(content => content.Length);
        var reports = new Reports();

        await checkpoint.ReadAllAsync(isKnown ? reads.ToList() : reads, reports, Token);

        // 20,000 bytes are seven requests; three other tensors are one each; the empty one is none, but a tensor.
        Assert.InRange(reports.Count, 1, 11);
        Assert.Equal(reports.OrderBy(report => report.BytesRead), reports);
        Assert.Equal(reports.OrderBy(report => report.TensorsRead), reports);
        Assert.Equal(new(total, isKnown ? total : null, 5, isKnown ? 5 : null, reports[^1].Elapsed), reports[^1]);
        Assert.Equal(total / reports[^1].Elapsed.TotalSeconds, reports[^1].BytesPerSecond);
    }

    [Fact]
    public async Task RunsAreAskedForOnlyAsTheyAreStarted()
    {
        await using var checkpoint = await _stored.OpenAsync(new() { MaxConcurrency = 2 });
        var (asked, read) = (0, 0);
        var farthest = 0;
        _stored.Store.Read = (_, _) => Interlocked.Increment(ref read);
        IEnumerable<ShardRead> Reads()
        {
            for (var i = 0; i < 100; i++)
            {
                farthest = Math.Max(farthest, ++asked - Volatile.Read(ref read));
                yield return ShardRead.Whole(checkpoint["norm.weight"], new byte[14]);
            }
        }

        await checkpoint.ReadAllAsync(Reads(), cancellationToken: Token);

        Assert.Equal(100, read);
        Assert.InRange(farthest, 1, 3);
    }

    [Fact]
    public async Task RequestsOfAllCallsTogetherAreBounded()
    {
        await using var checkpoint = await _stored.OpenAsync(new() { MaxConcurrency = 3, MaxRequestBytes = 1 });
        _stored.Store.Reading = async _ => await Task.Yield();

        await Task.WhenAll(Enumerable.Range(0, 10).Select(_ => checkpoint.ReadAsync("embed.weight", new byte[20_000], Token)));

        Assert.Equal(200, _stored.Store.Count("read"));
        Assert.InRange(_stored.Store.MostReadsAtOnce, 1, 3);
    }

    [Fact]
    public async Task CheckpointsThatShareABudgetStayWithinItTogether()
    {
        var options = new ShardedCheckpointOptions { MaxConcurrency = 9, MaxRequestBytes = 1, Budget = new(maxRequests: 3, maxBytes: 2_500) };
        await using var first = await _stored.OpenAsync(options);
        await using var second = await _stored.OpenAsync(options);
        _stored.Store.Reading = async _ => await Task.Yield();

        await Task.WhenAll(first.ReadAsync("embed.weight", new byte[20_000], Token), second.ReadAsync("embed.weight", new byte[20_000], Token));

        // Each request has a chunk of 1,000 bytes.
        Assert.Equal(40, _stored.Store.Count("read"));
        Assert.InRange(_stored.Store.MostReadsAtOnce, 1, 2);
    }

    [Theory]
    [InlineData(0, 1)]
    [InlineData(1, 0)]
    public void ABudgetOfNothingIsRefused(int requests, long bytes) => Assert.Throws<ArgumentOutOfRangeException>(() => new RequestBudget(requests, bytes));

    [Fact]
    public async Task TheFirstFailureEndsTheOthers()
    {
        await using var checkpoint = await _stored.OpenAsync(new() { MaxConcurrency = 4, MaxRequestBytes = 1 });
        var (calls, ended) = (0, 0);
        var waiting = new TaskCompletionSource();
        _stored.Store.Reading = async stop =>
        {
            if (Interlocked.Increment(ref calls) == 4)
            {
                await waiting.Task;
                throw new TimeoutException();
            }

            if (Volatile.Read(ref calls) >= 3)
            {
                waiting.TrySetResult();
            }

            try
            {
                await Task.Delay(Timeout.Infinite, stop);
            }
            finally
            {
                Interlocked.Increment(ref ended);
            }
        };

        await Assert.ThrowsAsync<TimeoutException>(() => checkpoint.ReadAsync("embed.weight", new byte[20_000], Token));

        Assert.Equal((4, 3), (calls, ended));
    }

    [Fact]
    public async Task AChunkThatArrivesDamagedIsReadOnceMore()
    {
        await using var checkpoint = await _stored.OpenAsync(new() { MaxRequestBytes = 5_000 });
        var damaged = 0;
        _stored.Store.Read = (offset, content) => Flip(ref damaged, 1, 7_123, offset, content);
        var read = new byte[20_000];

        await checkpoint.ReadAsync("embed.weight", read, Token);

        Assert.Equal(_stored.Contents["embed.weight"], read);
        Assert.Equal(5, _stored.Store.Count("read"));
        Assert.Single(_stored.Store.Requests, request => request.EndsWith(" 7000+1000", StringComparison.Ordinal));

        (damaged, var blocking) = (0, new byte[20_000]);
        checkpoint.Read(checkpoint["embed.weight"], 0, blocking, Token);
        Assert.Equal(read, blocking);
        Assert.Equal(10, _stored.Store.Count("read"));
    }

    [Fact]
    public async Task AChunkThatStaysDamagedIsNamed()
    {
        await using var checkpoint = await _stored.OpenAsync(new() { MaxRequestBytes = 5_000 });
        var damaged = 0;
        _stored.Store.Read = (offset, content) => Flip(ref damaged, int.MaxValue, 7_123, offset, content);
        var tensor = checkpoint["embed.weight"];

        var corrupt = await Assert.ThrowsAsync<ShardCorruptException>(() => checkpoint.ReadAsync("embed.weight", new byte[20_000], Token));
        var alike = Assert.Throws<ShardCorruptException>(() => checkpoint.Read(tensor, 7_000, new byte[1_000], Token));

        Assert.Equal(("embed.weight", 7, StoreLayout.Shard(tensor.Digest)), (corrupt.Tensor, corrupt.Chunk, corrupt.Blob));
        Assert.Equal((corrupt.Tensor, corrupt.Chunk, corrupt.Blob), (alike.Tensor, alike.Chunk, alike.Blob));
        Assert.Contains("Chunk 7 (bytes 7000..8000)", corrupt.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task VerificationCanBeTurnedOff()
    {
        await using var checkpoint = await _stored.OpenAsync(new() { Verification = ShardVerification.None });
        var damaged = 0;
        _stored.Store.Read = (offset, content) => Flip(ref damaged, int.MaxValue, 7_123, offset, content);

        await checkpoint.ReadAsync("embed.weight", new byte[20_000], Token);

        Assert.Equal(1, damaged);
    }

    private static void Flip(ref int times, int maxTimes, long position, long offset, Span<byte> content)
    {
        if (position >= offset && position < offset + content.Length && times < maxTimes)
        {
            content[(int)(position - offset)] ^= 1;
            times++;
        }
    }

    private sealed class Reports : List<ShardProgress>, IProgress<ShardProgress>
    {
        public void Report(ShardProgress value) => Add(value);
    }
}
