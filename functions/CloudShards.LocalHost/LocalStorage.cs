using Azure.Identity;
using Azure.Storage.Blobs;
using Azure.Storage.Queues;
using CloudShards.Sharding;

namespace CloudShards.LocalHost;

/// <summary>The containers and queues of a local host.</summary>
public sealed class LocalStorage
{
    private LocalStorage(BlobServiceClient blobs, QueueServiceClient queues, LocalHostOptions options)
    {
        Uploads = blobs.GetBlobContainerClient(options.Uploads);
        Shards = blobs.GetBlobContainerClient(options.Shards);
        Work = blobs.GetBlobContainerClient(options.Work);
        Events = queues.GetQueueClient(options.Events);
        FailedEvents = queues.GetQueueClient(options.Events + StorageNames.PoisonSuffix);
        Batches = queues.GetQueueClient(options.Batches);
        FailedBatches = queues.GetQueueClient(options.Batches + StorageNames.PoisonSuffix);
    }

    /// <summary>The container that is watched.</summary>
    public BlobContainerClient Uploads { get; }

    /// <summary>The container that shards are written to.</summary>
    public BlobContainerClient Shards { get; }

    /// <summary>The container of the documents of jobs.</summary>
    public BlobContainerClient Work { get; }

    /// <summary>The queue of events.</summary>
    public QueueClient Events { get; }

    /// <summary>The queue of events that were tried too often.</summary>
    public QueueClient FailedEvents { get; }

    /// <summary>The queue of batches.</summary>
    public QueueClient Batches { get; }

    /// <summary>The queue of batches that were tried too often.</summary>
    public QueueClient FailedBatches { get; }

    /// <summary>The storage that options name: by connection string, or by account and the identity that is signed in.</summary>
    /// <exception cref="ArgumentException">They name none, or both.</exception>
    public static LocalStorage Open(LocalHostOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        switch (options)
        {
            case { ConnectionString: { } connection, Account: null }:
                return new(new BlobServiceClient(connection), new QueueServiceClient(connection), options);
            case { ConnectionString: null, Account: { } account }:
                var blobs = new Uri(account.Contains("://", StringComparison.Ordinal) ? account : $"https://{account}.blob.core.windows.net");
                var queues = new UriBuilder(blobs) { Host = blobs.Host.Replace(".blob.", ".queue.", StringComparison.Ordinal) }.Uri;
                var identity = new DefaultAzureCredential();
                return new(new BlobServiceClient(blobs, identity), new QueueServiceClient(queues, identity), options);
            default:
                throw Errors.NoAccount();
        }
    }

    /// <summary>Creates what is missing.</summary>
    public async Task CreateAsync(CancellationToken cancellationToken)
    {
        foreach (var container in (BlobContainerClient[])[Uploads, Shards, Work])
        {
            await container.CreateIfNotExistsAsync(cancellationToken: cancellationToken);
        }

        foreach (var queue in (QueueClient[])[Events, FailedEvents, Batches, FailedBatches])
        {
            await queue.CreateIfNotExistsAsync(cancellationToken: cancellationToken);
        }
    }
}
