using CloudShards.Sharding;
using CloudShards.Testing;

namespace CloudShards.EndToEnd.Tests;

/// <summary>Changes of an upload that raise no event, such as new metadata: the version is another, and somebody must shard it.</summary>
public sealed class QuietChangeTests(AzuriteFixture azurite)
{
    private static readonly Dictionary<string, string> Metadata = new() { ["step"] = "1000" };

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task AnUploadWhoseMetadataIsSetMeanwhileIsShardedAllTheSame()
    {
        var storage = await StorageContainers.CreateAsync(azurite);
        var events = await BatchQueue.CreateAsync(azurite);
        var upload = await storage.UploadAsync("model.safetensors", await Checkpoints.SmallAsync());
        await storage.Uploads.GetBlobClient(upload.Path).SetMetadataAsync(Metadata, cancellationToken: Token);

        var status = await Worker(storage, events).UploadedAsync(upload.Event, Token);

        Assert.Equal(JobState.Superseded, status.State);
        var message = Assert.Single(await events.TakeAllAsync());
        Assert.Equal(JobState.Committed, (await Worker(storage, events).UploadedAsync(message, Token)).State);
        await storage.ReadAllAsync("model");
        Assert.Equal(0, await events.CountAsync());
    }

    [Fact]
    public async Task SoIsASetWithSuchAFile()
    {
        var storage = await StorageContainers.CreateAsync(azurite);
        var (events, queue) = (await BatchQueue.CreateAsync(azurite), await BatchQueue.CreateAsync(azurite));
        var set = CheckpointSet.OfCorpus("hf_st");
        var uploads = await CheckpointSet.UploadAsync(storage, set.Files);
        var worker = storage.NewPipeline(new() { MaxBatchShards = 1, MaxPackedBytes = 0 }, queue.Client, events: events.Client);
        await worker.UploadedAsync(uploads[0].Event, Token);
        await storage.Uploads.GetBlobClient(uploads[1].Path).SetHttpHeadersAsync(new() { ContentType = "application/octet-stream" }, cancellationToken: Token);
        Assert.All(await queue.WorkOffAsync(worker), status => Assert.True(status!.State is JobState.Superseded or JobState.Sharding));

        foreach (var message in await events.TakeAllAsync())
        {
            await worker.UploadedAsync(message, Token);
        }

        await queue.WorkOffAsync(worker);
        CorpusAssert.Lists(set.Tensors, await storage.ReadAllAsync(set.Name));
    }

    [Fact]
    public async Task ANewerUploadThatHasAJobAndOneThatIsDeletedNeedNoEvent()
    {
        var storage = await StorageContainers.CreateAsync(azurite);
        var events = await BatchQueue.CreateAsync(azurite);
        var older = await storage.UploadAsync("model.safetensors", await Checkpoints.SmallAsync(1));
        var newer = await storage.UploadAsync("model.safetensors", await Checkpoints.SmallAsync(2));
        var deleted = await storage.UploadAsync("other.safetensors", await Checkpoints.SmallAsync(3));
        await storage.Uploads.DeleteBlobAsync(deleted.Path, cancellationToken: Token);
        await Worker(storage, events).UploadedAsync(newer.Event, Token);

        var statuses = new[] { await Worker(storage, events).UploadedAsync(older.Event, Token), await Worker(storage, events).UploadedAsync(deleted.Event, Token) };

        Assert.All(statuses, status => Assert.Equal(JobState.Superseded, status.State));
        Assert.Equal(0, await events.CountAsync());
    }

    private static CheckpointPipeline Worker(StorageContainers storage, BatchQueue events) => storage.NewPipeline(events: events.Client);
}
