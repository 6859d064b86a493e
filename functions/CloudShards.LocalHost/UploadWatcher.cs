using Azure;
using Azure.Storage.Blobs.Models;
using CloudShards.Sharding;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace CloudShards.LocalHost;

/// <summary>
/// Stands in for Event Grid: lists the uploads container again and again, and puts an event on the queue for every version of a blob that it
/// sees for the first time. What it saw is forgotten when it ends: an event that is repeated costs next to nothing.
/// </summary>
internal sealed class UploadWatcher(LocalStorage storage, LocalHostOptions options, TimeProvider clock, ILogger<UploadWatcher> log) : BackgroundService
{
    private Dictionary<string, ETag> _seen = new(StringComparer.Ordinal);

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        using var timer = new PeriodicTimer(options.PollInterval, clock);
        do
        {
            try
            {
                await LookAsync(stoppingToken);
            }
            catch (Exception e) when (!stoppingToken.IsCancellationRequested)
            {
                Log.WatchFailed(log, storage.Uploads.Name, e);
            }
        }
        while (await timer.WaitForNextTickAsync(stoppingToken));
    }

    private async Task LookAsync(CancellationToken cancellationToken)
    {
        var present = new Dictionary<string, ETag>(StringComparer.Ordinal);
        await foreach (var blob in storage.Uploads.GetBlobsAsync(BlobTraits.None, BlobStates.None, null, cancellationToken))
        {
            if (blob.Properties is not { ETag: { } etag, LastModified: { } writtenAt })
            {
                continue;
            }

            if (!_seen.TryGetValue(blob.Name, out var known) || known != etag)
            {
                var message = UploadEvent.Create(storage.Uploads.GetBlobClient(blob.Name).Uri, storage.Uploads.Name, blob.Name, etag, writtenAt);
                await storage.Events.SendMessageAsync(QueueText.Of(message), cancellationToken);
                _seen[blob.Name] = etag;
            }

            present[blob.Name] = etag;
        }

        _seen = present;
    }
}
