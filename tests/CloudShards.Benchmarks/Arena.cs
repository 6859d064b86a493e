using System.Text.Json;
using Azure.Storage.Blobs;
using Azure.Storage.Queues;
using Azure.Storage.Queues.Models;
using Azure.Storage.Sas;
using CloudShards.LocalHost;
using CloudShards.Sharding;
using CloudShards.Testing;
using Microsoft.Extensions.Logging.Abstractions;

namespace CloudShards.Benchmarks;

/// <summary>What the contenders of one run meet: a storage account with the same checkpoint, as it was uploaded and sharded.</summary>
/// <param name="Connection">The account.</param>
/// <param name="File">The uploaded safetensors file.</param>
/// <param name="Reference">The checkpoint in <see cref="Shards"/>, by digest.</param>
/// <param name="Target">A container of this contender's own, empty.</param>
internal sealed record Arena(string Connection, string File, string Reference, string Target)
{
    public const string Uploads = StorageNames.Uploads;
    public const string Shards = StorageNames.Shards;

    private static readonly TimeSpan SasLifetime = TimeSpan.FromHours(6);

    /// <summary>Uploads a checkpoint, and shards it if that is wanted.</summary>
    public static async Task<Arena> CreateAsync(
        AzuriteServer server, string name, SyntheticCheckpoint model, bool isSharded, CancellationToken cancellationToken)
    {
        var arena = new Arena(server.ConnectionString, $"{name}.safetensors", "", "");
        using var traffic = new Traffic();
        var uploads = arena.Container(Uploads, traffic);
        await uploads.CreateIfNotExistsAsync(cancellationToken: cancellationToken);
        await using (var stream = await uploads.GetBlobClient(arena.File).OpenWriteAsync(overwrite: true, cancellationToken: cancellationToken))
        {
            await model.WriteSafetensorsAsync(stream, cancellationToken);
        }

        return isSharded ? arena with { Reference = await arena.ShardAsync(Shards, traffic, cancellationToken) } : arena;
    }

    public static Arena Parse(string json) => JsonSerializer.Deserialize(json, BenchmarkJson.Default.Arena)!;

    /// <summary>Runs the pipeline on the uploaded file, by one worker that takes its batches from a queue.</summary>
    /// <returns>The checkpoint's reference.</returns>
    public async Task<string> ShardAsync(string target, Traffic traffic, CancellationToken cancellationToken, bool isCopiedByService = false)
    {
        var (shards, work) = (Container(target, traffic), Container($"work-{Guid.NewGuid():N}", traffic));
        await shards.CreateIfNotExistsAsync(cancellationToken: cancellationToken);
        await work.CreateAsync(cancellationToken: cancellationToken);
        return await ShardAsync(new BlobShardStore(shards), new BlobShardStore(work), traffic, new() { CopyByService = isCopiedByService }, cancellationToken);
    }

    /// <summary>Runs the pipeline on the uploaded file, into any stores.</summary>
    public async Task<string> ShardAsync(IShardStore shards, IShardStore work, Traffic traffic, ShardingOptions options, CancellationToken cancellationToken)
    {
        var uploads = Container(Uploads, traffic);
        var queue = new QueueClient(Connection, $"b{Guid.NewGuid():N}", new QueueClientOptions { Transport = traffic.Transport() });
        await queue.CreateAsync(cancellationToken: cancellationToken);
        var pipeline = new CheckpointPipeline(uploads, shards, work, null, queue, options, TimeProvider.System, NullLogger<CheckpointPipeline>.Instance);
        var blob = uploads.GetBlobClient(File);
        var properties = (await blob.GetPropertiesAsync(cancellationToken: cancellationToken)).Value;
        await pipeline.UploadedAsync(UploadEvent.Create(blob.Uri, Uploads, File, properties.ETag, properties.LastModified), cancellationToken);
        while (await queue.ReceiveMessageAsync(TimeSpan.FromHours(1), cancellationToken) is { Value: QueueMessage message })
        {
            await pipeline.BatchAsync(new(Convert.FromBase64String(message.MessageText)), cancellationToken);
            await queue.DeleteMessageAsync(message.MessageId, message.PopReceipt, cancellationToken);
        }

        var status = await pipeline.TryGetStatusAsync(File, properties.ETag, cancellationToken);
        return status!.Reference ?? throw new InvalidOperationException($"The sharding of `{File}` ended as {status.State}: {status.Error?.Message}");
    }

    public BlobContainerClient Container(string name, Traffic traffic) => new(Connection, name, traffic.BlobOptions());

    /// <summary>A blob's address for plain HTTP, with the right to read and write it.</summary>
    public Uri AddressOf(string container, string blob)
    {
        var client = new BlobContainerClient(Connection, container);
        var sas = client.GenerateSasUri(BlobContainerSasPermissions.Read | BlobContainerSasPermissions.Write, DateTimeOffset.UtcNow + SasLifetime);
        return new UriBuilder(sas) { Path = $"{sas.AbsolutePath}/{blob}" }.Uri;
    }

    public Task<ShardedCheckpoint> OpenAsync(Traffic traffic, CancellationToken cancellationToken) =>
        ShardedCheckpoint.OpenAsync(Container(Shards, traffic), Reference, cancellationToken: cancellationToken);

    public string ToJson() => JsonSerializer.Serialize(this, BenchmarkJson.Default.Arena);
}
