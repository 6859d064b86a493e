using System.Runtime.CompilerServices;
using Azure;
using Azure.Core;
using Azure.Core.Pipeline;
using Azure.Storage.Blobs;

namespace CloudShards.Testing;

/// <summary>A request that a client sent, and its answer. Each retry is a request of its own.</summary>
/// <param name="Method">As in <c>GET</c>.</param>
/// <param name="Path">The address's path, without its query: <c>/account/container/blob</c>.</param>
public sealed record RecordedRequest(string Method, string Path)
{
    /// <summary>The blob's name within its container; empty for a request to the container itself.</summary>
    public required string Blob { get; init; }

    /// <summary>
    /// The query's <c>comp</c>, which tells Azure's operations apart: <c>block</c>, <c>blocklist</c>, <c>list</c>; else null.
    /// </summary>
    public string? Component { get; init; }

    /// <summary>The bytes asked for, as in <c>bytes=0-99</c>.</summary>
    public string? Range { get; init; }

    /// <summary>The ETag that the blob must have.</summary>
    public string? IfMatch { get; init; }

    /// <summary>The ETag that the blob must not have; <c>*</c> where it must not exist.</summary>
    public string? IfNoneMatch { get; init; }

    /// <summary>Bytes of the request's body.</summary>
    public long BodyBytes { get; init; }

    /// <summary>The answer's status; null where none came.</summary>
    public int? Status { get; init; }

    /// <summary>Bytes of the answer's body as its header announced them; null where there was no such header.</summary>
    public long? ResponseBytes { get; init; }
}

/// <summary>Records what a client sends and is answered, in the order of sending. Safe for parallel requests.</summary>
public sealed class RequestRecorder : HttpPipelinePolicy
{
    private readonly Lock _lock = new();
    private readonly List<StrongBox<RecordedRequest>> _requests = [];

    /// <summary>The requests so far.</summary>
    public IReadOnlyList<RecordedRequest> Requests
    {
        get
        {
            lock (_lock)
            {
                return [.. _requests.Select(request => request.Value!)];
            }
        }
    }

    /// <summary>Forgets the requests so far.</summary>
    public void Clear()
    {
        lock (_lock)
        {
            _requests.Clear();
        }
    }

    /// <inheritdoc/>
    public override void Process(HttpMessage message, ReadOnlyMemory<HttpPipelinePolicy> pipeline)
    {
        var request = Record(message.Request);
        ProcessNext(message, pipeline);
        Complete(request, message.Response);
    }

    /// <inheritdoc/>
    public override async ValueTask ProcessAsync(HttpMessage message, ReadOnlyMemory<HttpPipelinePolicy> pipeline)
    {
        var request = Record(message.Request);
        await ProcessNextAsync(message, pipeline);
        Complete(request, message.Response);
    }

    private static string? Header(Request request, string name) => request.Headers.TryGetValue(name, out var value) ? value : null;

    private static string? Component(Uri address) => address.Query.TrimStart('?').Split('&')
        .FirstOrDefault(parameter => parameter.StartsWith("comp=", StringComparison.Ordinal))?["comp=".Length..];

    private StrongBox<RecordedRequest> Record(Request request)
    {
        var address = request.Uri.ToUri();
        long bodyBytes = 0;
        request.Content?.TryComputeLength(out bodyBytes);
        var record = new StrongBox<RecordedRequest>(new(request.Method.Method, address.AbsolutePath)
        {
            Blob = new BlobUriBuilder(address).BlobName,
            Component = Component(address),
            Range = Header(request, "x-ms-range") ?? Header(request, "Range"),
            IfMatch = Header(request, "If-Match"),
            IfNoneMatch = Header(request, "If-None-Match"),
            BodyBytes = bodyBytes,
        });
        lock (_lock)
        {
            _requests.Add(record);
        }

        return record;
    }

    private void Complete(StrongBox<RecordedRequest> request, Response response)
    {
        lock (_lock)
        {
            request.Value = request.Value! with { Status = response.Status, ResponseBytes = response.Headers.ContentLengthLong };
        }
    }
}
