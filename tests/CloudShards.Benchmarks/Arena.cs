using System.Text.Json;
using Azure.Storage.Blobs;
using Azure.Storage.Queues;
using Azure.Storage.Queues.Models;
using CloudShards.Benchmarks.Servers;
using CloudShards.Formats;
using CloudShards.Sharding;
using CloudShards.Testing;
using Microsoft.Extensions.Logging.Abstractions;

namespace CloudShards.Benchmarks;

/// <summary>What the contenders of one run meet: a storage account with the same checkpoint, as it was uploaded and sharded.</summary>
/// <param name="Account">The account.</param>
/// <param name="File">The uploaded safetensors file.</param>
internal sealed record Arena(Account Account, string File)
{
    public const string Uploads = StorageNames.Uploads;
    public const string Shards = StorageNames.Shards;

    /// <summary>The checkpoint in <see cref="Shards"/>, by digest; empty where it is not sharded.</summary>
    public string Reference { get; init; } = "";

    /// <summary>The same checkpoint without packs, by digest; empty where nobody asked for it.</summary>
    public string UnpackedReference { get; init; } = "";

    /// <summary>A container of this contender's own, empty.</summary>
    public string Target { get; init; } = "";

    /// <summary>A folder of this contender's own, which may be missing.</summary>
    public string Scratch { get; init; } = "";

    /// <summary>A small checkpoint of the same kind; null for that itself.</summary>
    public Arena? WarmUp { get; init; }

    /// <summary>Uploads a checkpoint and shards it as often as there are options: with packs, and perhaps without.</summary>
    public static async Task<Arena> CreateAsync(
        IStorageServer server, string name, SyntheticCheckpoint model, IReadOnlyList<ShardingOptions> shardings, CancellationToken cancellationToken)
    {
        var arena = new Arena(server.Account, $"{name}.safetensors");
        await using (var stream = await server.OpenUploadAsync(arena.File, cancellationToken))
        {
            await model.WriteSafetensorsAsync(stream, cancellationToken);
        }

        using var traffic = new Traffic();
        foreach (var options in shardings)
        {
            var shards = await server.OpenStoreAsync(Shards, cancellationToken);
            var work = await server.OpenStoreAsync($"work-{Guid.NewGuid():N}", cancellationToken);
            var reference = await arena.ShardAsync(shards, work, traffic, options, cancellationToken);
            arena = options.MaxPackedBytes > 0 ? arena with { Reference = reference } : arena with { UnpackedReference = reference };
        }

        return arena;
    }

    public static Arena Parse(string json) => JsonSerializer.Deserialize(json, BenchmarkJson.Default.Arena)!;

    /// <summary>Runs the pipeline on the uploaded file into a container, by one worker that takes its batches from a queue.</summary>
    /// <returns>The checkpoint's reference.</returns>
    public async Task<string> ShardAsync(string target, Traffic traffic, CancellationToken cancellationToken, bool isCopiedByService = false)
    {
        var (shards, work) = (Container(target, traffic), Container($"work-{Guid.NewGuid():N}", traffic));
        await shards.CreateIfNotExistsAsync(cancellationToken: cancellationToken);
        await work.CreateAsync(cancellationToken: cancellationToken);
        return await ShardAsync(new BlobShardStore(shards), new BlobShardStore(work), traffic, new() { CopyByService = isCopiedByService }, cancellationToken);
    }

    /// <summary>Runs the pipeline on the uploaded file, into any stores. A static server has no queue: there, the first worker does it all.</summary>
    public async Task<string> ShardAsync(IShardStore shards, IShardStore work, Traffic traffic, ShardingOptions options, CancellationToken cancellationToken)
    {
        var uploads = Container(Uploads, traffic);
        var queue = Account.ConnectionString is { } connection
            ? new QueueClient(connection, $"b{Guid.NewGuid():N}", new QueueClientOptions { Transport = traffic.Transport() })
            : null;
        await (queue?.CreateAsync(cancellationToken: cancellationToken) ?? Task.CompletedTask);
        var pipeline = new CheckpointPipeline(uploads, shards, work, null, queue, options, TimeProvider.System, NullLogger<CheckpointPipeline>.Instance);
        var blob = uploads.GetBlobClient(File);
        var properties = (await blob.GetPropertiesAsync(cancellationToken: cancellationToken)).Value;
        await pipeline.UploadedAsync(UploadEvent.Create(blob.Uri, Uploads, File, properties.ETag, properties.LastModified), cancellationToken);
        while (queue is not null && await queue.ReceiveMessageAsync(TimeSpan.FromHours(1), cancellationToken) is { Value: QueueMessage message })
        {
            await pipeline.BatchAsync(new(Convert.FromBase64String(message.MessageText)), cancellationToken);
            await queue.DeleteMessageAsync(message.MessageId, message.PopReceipt, cancellationToken);
        }

        var status = await pipeline.TryGetStatusAsync(File, properties.ETag, cancellationToken);
        return status!.Reference ?? throw new InvalidOperationException($"The sharding of `{File}` ended as {status.State}: {status.Error?.Message}");
    }

    public BlobContainerClient Container(string name, Traffic traffic) => Account.Container(name, traffic);

    /// <summary>A shard's address for plain HTTP.</summary>
    public Uri AddressOf(ShardedTensor tensor) => Account.AddressOf(Shards, StoreLayout.Shard(tensor.Digest));

    public Task<ShardedCheckpoint> OpenAsync(Traffic traffic, CancellationToken cancellationToken) => OpenAsync(traffic, new(), cancellationToken);

    public Task<ShardedCheckpoint> OpenAsync(
        Traffic traffic, ShardedCheckpointOptions options, CancellationToken cancellationToken, bool isPacked = true) =>
        ShardedCheckpoint.OpenAsync(Container(Shards, traffic), isPacked ? Reference : UnpackedReference, options, cancellationToken);

    public string ToJson() => JsonSerializer.Serialize(this, BenchmarkJson.Default.Arena);
}
