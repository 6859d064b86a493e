using System.Net;
using Azure;

namespace CloudShards.Tests;

public sealed class ThrottlingTests : IAsyncLifetime
{
    private readonly StoredCheckpoint _stored = new();
    private readonly LogLines _log = new();
    private readonly ImpatientTime _time = new();

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public ValueTask InitializeAsync() => _stored.InitializeAsync();

    public ValueTask DisposeAsync() => _stored.DisposeAsync();

    [Fact]
    public async Task AStormIsWaitedOutWithFewerRequestsAtOnce()
    {
        await using var checkpoint = await OpenAsync();
        var asked = 0;
        _stored.Store.Reading = async _ =>
        {
            await Task.Yield();
            if (Interlocked.Increment(ref asked) is <= 5 and var number)
            {
                throw new RequestFailedException(number % 2 == 0 ? 503 : 429, "busy");
            }
        };
        var read = new byte[20_000];

        await checkpoint.ReadAsync("embed.weight", read, Token);

        Assert.Equal(_stored.Contents["embed.weight"], read);
        Assert.Equal(25, asked);
        Assert.Equal(5, _time.Waits.Count);
        Assert.All(_time.Waits, wait => Assert.InRange(wait.TotalSeconds, 0.5, 16));
        Assert.Contains(_log.Lines, line => line.Contains("From now on 4 requests run at once", StringComparison.Ordinal));
    }

    [Fact]
    public async Task AStormThatDoesNotEndIsTheServicesOwnRefusal()
    {
        await using var checkpoint = await OpenAsync();
        _stored.Store.Reading = _ => throw new RequestFailedException(503, "busy");

        var refused = await Assert.ThrowsAsync<RequestFailedException>(() => checkpoint.ReadAsync("norm.weight", new byte[14], Token));

        Assert.Equal(503, refused.Status);
        Assert.Equal(6, _stored.Store.Count("read"));
    }

    [Theory]
    [InlineData(404)]
    [InlineData(500)]
    public async Task AnotherRefusalIsNotRepeated(int status)
    {
        await using var checkpoint = await OpenAsync();
        _stored.Store.Reading = _ => throw new RequestFailedException(status, "no");

        await Assert.ThrowsAsync<RequestFailedException>(() => checkpoint.ReadAsync("norm.weight", new byte[14], Token));

        Assert.Equal(1, _stored.Store.Count("read"));
        Assert.Empty(_time.Waits);
    }

    [Fact]
    public async Task TheServicesOwnWaitIsKept()
    {
        var asked = 0;
        var content = new byte[14];
        var server = new ScriptedServer(_ =>
        {
            var refusal = ScriptedServer.Refusal(HttpStatusCode.ServiceUnavailable, "ServerBusy");
            refusal.Headers.TryAddWithoutValidation("Retry-After", "7");
            return ++asked == 1 ? refusal : ScriptedServer.Answer(HttpStatusCode.PartialContent, content, "bytes 0-13/14");
        });
        await using var checkpoint = await OpenAsync();
        var fetcher = new ShardFetcher(
            new BlobShardStore(server.Container()), null, new(8, 1 << 20), 1_000,
            new() { TimeProvider = _time, Verification = ShardVerification.None }, new("net", _log));

        await fetcher.FetchAsync(checkpoint["norm.weight"], 0, new byte[14], Token);

        Assert.Equal([TimeSpan.FromSeconds(7)], _time.Waits);
    }

    private Task<ShardedCheckpoint> OpenAsync() => _stored.OpenAsync(new() { MaxRequestBytes = 1_000, MaxConcurrency = 8, TimeProvider = _time, Logger = _log });
}
