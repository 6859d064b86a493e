using Azure.Core;
using Azure.Core.Pipeline;
using Azure.Storage.Blobs;
using Azure.Storage.Queues;
using CloudShards.LocalHost;
using Xunit;

namespace CloudShards.Testing;

/// <summary>
/// One Azurite for all tests of an assembly: <c>[assembly: AssemblyFixture(typeof(AzuriteFixture))]</c>, then a constructor parameter.
/// Tests share nothing on it but the account: each takes a container of its own and leaves it behind.
/// </summary>
public sealed class AzuriteFixture : IAsyncLifetime
{
    // Azurite closes a connection that was idle for 5 s; one that is dropped earlier cannot be closed under a request.
    private static readonly TimeSpan IdleTimeout = TimeSpan.FromSeconds(3);

    private readonly HttpClient _http = new(new SocketsHttpHandler { PooledConnectionIdleTimeout = IdleTimeout, UseProxy = false })
    {
        Timeout = Timeout.InfiniteTimeSpan,
    };

    private AzuriteServer? _server;
    private AzuriteException? _failure;

    /// <summary>The running server.</summary>
    /// <exception cref="AzuriteException">It could not be started.</exception>
    public AzuriteServer Server =>
        _server ?? throw (Exception?)_failure ?? new InvalidOperationException("xunit has not started the fixture.");

    /// <summary>The account's blobs.</summary>
    public BlobServiceClient Blobs => field ??= new(Server.ConnectionString, Options(new BlobClientOptions()));

    /// <summary>The account's queues.</summary>
    public QueueServiceClient Queues => field ??= new(Server.ConnectionString, Options(new QueueClientOptions()));

    /// <inheritdoc/>
    public async ValueTask InitializeAsync()
    {
        var options = new AzuriteOptions { Progress = new Progress<string>(TestContext.Current.SendDiagnosticMessage) };
        try
        {
            _server = await AzuriteServer.StartAsync(options, TestContext.Current.CancellationToken);
        }
        catch (AzuriteException exception)
        {
            // Where there is no Node.js, the tests that need Azurite fail and tell why; the others of the assembly run.
            _failure = exception;
        }
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        _http.Dispose();
        if (_server is not null)
        {
            await _server.DisposeAsync();
        }
    }

    /// <summary>
    /// Creates an empty container and returns a client of it whose requests, and retries of requests, pass through
    /// <paramref name="policies"/>, the first one outermost.
    /// </summary>
    public async Task<BlobContainerClient> NewContainerAsync(params IReadOnlyList<HttpPipelinePolicy> policies)
    {
        var name = $"t{Guid.NewGuid():N}";
        await Blobs.CreateBlobContainerAsync(name, cancellationToken: TestContext.Current.CancellationToken);
        var options = Options(new BlobClientOptions());
        foreach (var policy in policies)
        {
            options.AddPolicy(policy, HttpPipelinePosition.PerRetry);
        }

        return new(Server.ConnectionString, name, options);
    }

    // A test that provokes retries must not wait for them.
    private TOptions Options<TOptions>(TOptions options)
        where TOptions : ClientOptions
    {
        options.Transport = new HttpClientTransport(_http);
        options.Retry.Delay = options.Retry.MaxDelay = TimeSpan.FromMilliseconds(1);
        return options;
    }
}
