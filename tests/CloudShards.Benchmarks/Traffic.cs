using Azure.Core.Pipeline;
using Azure.Storage.Blobs;

namespace CloudShards.Benchmarks;

/// <summary>The one way out of a contender's process: counts requests and bytes, for plain HTTP and for Azure's client alike.</summary>
/// <param name="latency">How long each request waits on its way, as over a network.</param>
internal sealed class Traffic(TimeSpan latency = default) : DelegatingHandler(new SocketsHttpHandler { UseProxy = false, MaxConnectionsPerServer = 64 })
{
    private long _requests;
    private long _received;
    private long _sent;

    public (long Requests, long Received, long Sent) Count => (Interlocked.Read(ref _requests), Interlocked.Read(ref _received), Interlocked.Read(ref _sent));

    /// <summary>Options by which Azure's client sends through this.</summary>
    public BlobClientOptions BlobOptions() => new() { Transport = Transport() };

    /// <summary>This as the transport of a client of Azure's.</summary>
    public HttpPipelineTransport Transport() => new HttpClientTransport(new HttpMessageInvokerClient(this));

    protected override async Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
    {
        Interlocked.Increment(ref _requests);
        Interlocked.Add(ref _sent, request.Content?.Headers.ContentLength ?? 0);
        await (latency > TimeSpan.Zero ? Task.Delay(latency, cancellationToken) : Task.CompletedTask);
        var response = await base.SendAsync(request, cancellationToken);
        Interlocked.Add(ref _received, request.Method == HttpMethod.Head ? 0 : response.Content.Headers.ContentLength ?? 0);
        return response;
    }

    private sealed class HttpMessageInvokerClient : HttpClient
    {
        public HttpMessageInvokerClient(Traffic traffic)
            : base(traffic, disposeHandler: false) => Timeout = System.Threading.Timeout.InfiniteTimeSpan;
    }
}
