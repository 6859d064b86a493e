using System.Collections.Concurrent;
using System.Net;
using Azure.Core.Pipeline;
using Azure.Storage.Blobs;

namespace CloudShards.Tests;

/// <summary>An HTTP server that answers as a test says, also as no blob service should.</summary>
internal sealed class ScriptedServer(Func<HttpRequestMessage, HttpResponseMessage> answer) : HttpMessageHandler
{
    /// <summary>Method, last part of the path, and range of each request.</summary>
    public ConcurrentQueue<string> Requests { get; } = [];

    /// <summary>A container on this server; the client does not retry at all, or at once.</summary>
    public BlobContainerClient Container(int retries = 0) => new(new Uri("http://127.0.0.1/account/shards"), new BlobClientOptions
    {
        Transport = new HttpClientTransport(this),
        Retry = { MaxRetries = retries, Delay = TimeSpan.Zero, MaxDelay = TimeSpan.Zero },
    });

    /// <summary>The range that is asked for.</summary>
    public static (long From, long To) RangeOf(HttpRequestMessage request)
    {
        var text = request.Headers.GetValues("x-ms-range").Single();
        var bounds = text["bytes=".Length..].Split('-');
        return (long.Parse(bounds[0], null), long.Parse(bounds[1], null));
    }

    /// <summary>An answer as the service gives it.</summary>
    public static HttpResponseMessage Answer(HttpStatusCode status, byte[] body, string? contentRange = null)
    {
        var response = Answer(status, new MemoryStream(body), contentRange);
        response.Content.Headers.ContentLength = body.Length;
        return response;
    }

    /// <summary>An answer that does not say how long it is.</summary>
    public static HttpResponseMessage Answer(HttpStatusCode status, Stream body, string? contentRange = null)
    {
        var response = new HttpResponseMessage(status) { Content = new StreamContent(new OneWayStream(body)) };
        response.Headers.TryAddWithoutValidation("ETag", "\"0x1\"");
        response.Content.Headers.TryAddWithoutValidation("Content-Range", contentRange);
        return response;
    }

    /// <summary>A refusal as the service gives it.</summary>
    public static HttpResponseMessage Refusal(HttpStatusCode status, string? code = null)
    {
        var response = new HttpResponseMessage(status) { Content = new ByteArrayContent([]) };
        response.Headers.TryAddWithoutValidation("x-ms-error-code", code);
        return response;
    }

    protected override HttpResponseMessage Send(HttpRequestMessage request, CancellationToken cancellationToken)
    {
        cancellationToken.ThrowIfCancellationRequested();
        var range = request.Headers.TryGetValues("x-ms-range", out var values) ? " " + values.Single() : "";
        Requests.Enqueue($"{request.Method} {Path.GetFileName(request.RequestUri!.AbsolutePath)}{range}");
        return answer(request);
    }

    protected override Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken) =>
        Task.FromResult(Send(request, cancellationToken));

    /// <summary>A socket's stream cannot tell its length.</summary>
    private sealed class OneWayStream(Stream body) : Stream
    {
        public override bool CanRead => true;

        public override bool CanSeek => false;

        public override bool CanWrite => false;

        public override long Length => throw new NotSupportedException();

        public override long Position { get => throw new NotSupportedException(); set => throw new NotSupportedException(); }

        public override int Read(byte[] buffer, int offset, int count) => body.Read(buffer, offset, count);

        public override void Flush()
        {
        }

        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

        public override void SetLength(long value) => throw new NotSupportedException();

        public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();
    }
}
