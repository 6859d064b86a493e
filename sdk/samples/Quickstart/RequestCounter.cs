using Azure.Core;
using Azure.Core.Pipeline;

namespace Quickstart;

/// <summary>Counts the requests of a client and the bytes that their answers announce.</summary>
internal sealed class RequestCounter : HttpPipelineSynchronousPolicy
{
    private int _requests;
    private long _bytes;

    public (int Requests, long Bytes) Take() => (Interlocked.Exchange(ref _requests, 0), Interlocked.Exchange(ref _bytes, 0));

    public override void OnReceivedResponse(HttpMessage message)
    {
        Interlocked.Increment(ref _requests);
        Interlocked.Add(ref _bytes, message.Response.Headers.ContentLengthLong ?? 0);
    }
}
