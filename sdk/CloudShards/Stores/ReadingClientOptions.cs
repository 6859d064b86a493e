using Azure.Core;
using Azure.Core.Pipeline;
using Azure.Storage.Blobs;

namespace CloudShards;

/// <summary>
/// Options of a blob client that is made for reading shards: connections for many requests at once, silence that is noticed soon, and refusals
/// of a busy service that reach the scheduler instead of being waited out request by request. ARCHITECTURE.md has the measurements.
/// </summary>
/// <example><code>new BlobContainerClient(address, credential, ReadingClientOptions.Create())</code></example>
public static class ReadingClientOptions
{
    // Far above what a scheduler has in flight; the runtime's default is unbounded, and a bound keeps a mistake from exhausting ports.
    private const int MaxConnections = 256;
    private const int MaxRetries = 4;

    // A read waits for some bytes at a time, never for a whole body. The library's default is 100 seconds.
    private static readonly TimeSpan NetworkTimeout = TimeSpan.FromSeconds(20);
    private static readonly TimeSpan ConnectTimeout = TimeSpan.FromSeconds(10);

    // Load balancers forget silent connections after four minutes; DNS may move an account meanwhile.
    private static readonly TimeSpan IdleTimeout = TimeSpan.FromMinutes(1);
    private static readonly TimeSpan ConnectionLifetime = TimeSpan.FromMinutes(10);

    // Azure's blob service speaks HTTP/1.1, and one connection carries one answer at a time at full speed.
    private static readonly HttpClient Client = new(
        new SocketsHttpHandler
        {
            MaxConnectionsPerServer = MaxConnections,
            ConnectTimeout = ConnectTimeout,
            PooledConnectionIdleTimeout = IdleTimeout,
            PooledConnectionLifetime = ConnectionLifetime,
            AllowAutoRedirect = false,
            UseCookies = false,
        })
    {
        Timeout = Timeout.InfiniteTimeSpan,
    };

    /// <summary>New options, which may be changed further. All clients that use them share their connections.</summary>
    public static BlobClientOptions Create()
    {
        var options = new BlobClientOptions { Transport = new HttpClientTransport(Client) };
        options.Retry.NetworkTimeout = NetworkTimeout;
        options.Retry.MaxRetries = MaxRetries;
        options.RetryPolicy = new RangeRetryPolicy(MaxRetries);
        return options;
    }

    /// <summary>Retries as the library does, but leaves a refused range to who asked for it: the scheduler then lets fewer requests run at once.</summary>
    private sealed class RangeRetryPolicy(int maxRetries) : RetryPolicy(maxRetries)
    {
        protected override bool ShouldRetry(HttpMessage message, Exception? exception) => !IsBusyRange(message) && base.ShouldRetry(message, exception);

        protected override ValueTask<bool> ShouldRetryAsync(HttpMessage message, Exception? exception) =>
            IsBusyRange(message) ? ValueTask.FromResult(false) : base.ShouldRetryAsync(message, exception);

        private static bool IsBusyRange(HttpMessage message) =>
            message.HasResponse && message.Response.Status is 429 or 503 && message.Request.Headers.Contains("x-ms-range");
    }
}
