using Azure;
using Azure.Core;
using Azure.Core.Pipeline;
using Azure.Storage.Blobs;
using Azure.Storage.Blobs.Models;
using Azure.Storage.Queues;
using CloudShards.Formats;
using CloudShards.Sharding;
using CloudShards.Testing;
using Microsoft.Extensions.Logging.Abstractions;

namespace CloudShards.EndToEnd.Tests;

/// <summary>The containers of one test. The clients of its pipelines have the test's policies; what the test itself asks passes them by.</summary>
internal sealed class StorageContainers
{
    private readonly AzuriteFixture _azurite;

    private StorageContainers(AzuriteFixture azurite, BlobContainerClient uploads, BlobContainerClient shards, BlobContainerClient work) =>
        (_azurite, Uploads, Shards, Work) = (azurite, uploads, shards, work);

    public BlobContainerClient Uploads { get; }

    public BlobContainerClient Shards { get; }

    public BlobContainerClient Work { get; }

    /// <summary>The same containers, without the policies.</summary>
    public StorageContainers Plain => new(_azurite, Direct(Uploads), Direct(Shards), Direct(Work));

    /// <summary>The same containers; a policy acts on the calls to the shards before they are signed.</summary>
    public StorageContainers BeforeSigning(HttpPipelinePolicy policy)
    {
        var options = new BlobClientOptions();
        options.AddPolicy(policy, HttpPipelinePosition.PerCall);
        return new(_azurite, Uploads, new(_azurite.Server.ConnectionString, Shards.Name, options), Work);
    }

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public static async Task<StorageContainers> CreateAsync(AzuriteFixture azurite, params HttpPipelinePolicy[] policies) => new(
        azurite,
        await azurite.NewContainerAsync(policies),
        await azurite.NewContainerAsync(policies),
        await azurite.NewContainerAsync(policies));

    /// <summary>A pipeline, as a worker of its own has it.</summary>
    public CheckpointPipeline NewPipeline(
        ShardingOptions? options = null, QueueClient? batches = null, TimeProvider? clock = null, QueueClient? events = null) => new(
        Uploads,
        new BlobShardStore(Shards),
        new BlobShardStore(Work),
        events,
        batches,
        options ?? new(),
        clock ?? TimeProvider.System,
        NullLogger<CheckpointPipeline>.Instance);

    public Task<Upload> UploadAsync(CorpusFile file) => UploadAsync(file.Name, new(file.ReadAllBytes()));

    public async Task<Upload> UploadAsync(string path, BinaryData content)
    {
        var blob = Direct(Uploads).GetBlobClient(path);
        BlobContentInfo written = await blob.UploadAsync(content, overwrite: true, Token);
        return new(path, written.ETag, written.LastModified, UploadEvent.Create(blob.Uri, Uploads.Name, path, written.ETag, written.LastModified));
    }

    /// <summary>The names and versions of all blobs with shards, manifests and tags.</summary>
    public async Task<SortedDictionary<string, ETag>> StoredAsync(string prefix = "")
    {
        var stored = new SortedDictionary<string, ETag>(StringComparer.Ordinal);
        await foreach (var blob in Direct(Shards).GetBlobsAsync(BlobTraits.None, BlobStates.None, prefix, Token))
        {
            stored.Add(blob.Name, blob.Properties.ETag!.Value);
        }

        return stored;
    }

    public Task<ShardTag?> TagAsync(string reference) =>
        new CheckpointTags(new BlobShardStore(Direct(Shards))).TryReadAsync(CheckpointReference.Parse(reference), Token);

    /// <summary>Reads every tensor of a checkpoint and checks its bytes against its digest.</summary>
    public async Task<ShardManifest> ReadAllAsync(string reference)
    {
        await using var checkpoint = await ShardedCheckpoint.OpenAsync(Direct(Shards), reference, cancellationToken: Token);
        foreach (var tensor in checkpoint.Tensors)
        {
            var bytes = new byte[tensor.Bytes];
            await checkpoint.ReadAsync(tensor.Name, bytes, Token);
            Assert.Equal(tensor.Digest, Digest.Of(bytes));
        }

        return checkpoint.Manifest;
    }

    private BlobContainerClient Direct(BlobContainerClient container) => _azurite.Blobs.GetBlobContainerClient(container.Name);
}

/// <summary>A version of an uploaded file, and the event that tells of it.</summary>
internal sealed record Upload(string Path, ETag ETag, DateTimeOffset WrittenAt, BinaryData Event);
