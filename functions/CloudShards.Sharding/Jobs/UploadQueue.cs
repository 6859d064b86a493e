using Azure;
using Azure.Storage.Blobs;
using Azure.Storage.Queues;
using Microsoft.Extensions.Logging;

namespace CloudShards.Sharding;

/// <summary>Puts events of uploads on their queue that nobody else does: one that cannot be worked on yet, and one of a version that raised none.</summary>
/// <param name="queue">The queue of events.</param>
/// <param name="uploads">The uploads.</param>
/// <param name="jobs">The jobs of the uploads.</param>
/// <param name="clock">The clock of the waits.</param>
/// <param name="log">Is told of them.</param>
internal sealed class UploadQueue(QueueClient queue, BlobContainerClient uploads, JobStore jobs, TimeProvider clock, ILogger log)
{
    private static readonly TimeSpan MinDelay = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan Forever = TimeSpan.FromSeconds(-1);

    /// <summary>Puts an event back that is to be worked on later.</summary>
    public async Task ReturnAsync(string path, string etag, DateTimeOffset until, CancellationToken cancellationToken)
    {
        // The queue counts whole seconds.
        var delay = TimeSpan.FromSeconds(Math.Ceiling((until - clock.GetUtcNow()).TotalSeconds));
        await SendAsync(path, new(etag), delay < MinDelay ? MinDelay : delay, cancellationToken).ConfigureAwait(false);
        Log.PutBack(log, path, until);
    }

    /// <summary>Sees to it that the present version of an upload is sharded: an event of it is put on the queue, unless it has a job already.</summary>
    public async Task AnnounceAsync(string path, CancellationToken cancellationToken)
    {
        if (await TryGetVersionAsync(path, cancellationToken).ConfigureAwait(false) is { } etag
            && await jobs.TryReadAsync(JobStore.IdOf(path, UploadEvent.TextOf(etag)), cancellationToken).ConfigureAwait(false) is null)
        {
            await SendAsync(path, etag, TimeSpan.Zero, cancellationToken).ConfigureAwait(false);
            Log.Announced(log, path);
        }
    }

    private async Task<ETag?> TryGetVersionAsync(string path, CancellationToken cancellationToken)
    {
        try
        {
            return (await uploads.GetBlobClient(path).GetPropertiesAsync(cancellationToken: cancellationToken).ConfigureAwait(false)).Value.ETag;
        }
        catch (RequestFailedException e) when (e.Status == 404)
        {
            return null;
        }
    }

    private async Task SendAsync(string path, ETag etag, TimeSpan delay, CancellationToken cancellationToken)
    {
        var message = UploadEvent.Create(uploads.GetBlobClient(path).Uri, uploads.Name, path, etag, clock.GetUtcNow());
        await queue.SendMessageAsync(Convert.ToBase64String(message), delay, Forever, cancellationToken).ConfigureAwait(false);
    }
}
