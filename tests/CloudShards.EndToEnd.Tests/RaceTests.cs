using Azure.Core;
using CloudShards.Formats;
using CloudShards.Sharding;
using CloudShards.Testing;

namespace CloudShards.EndToEnd.Tests;

/// <summary>Several workers, and several uploads, at once.</summary>
public sealed class RaceTests(AzuriteFixture azurite)
{
    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task ManyWorkersWithOneEventMakeOneCheckpoint(bool inManyBatches)
    {
        var storage = await StorageContainers.CreateAsync(azurite);
        var file = CorpusFile.Get("plain.pt");
        var upload = await storage.UploadAsync(file);
        var options = inManyBatches ? new ShardingOptions { MaxBatchShards = 5, MaxPackedBytes = 0 } : new();

        var statuses = await Task.WhenAll(Enumerable.Range(0, 8).Select(_ => storage.NewPipeline(options).UploadedAsync(upload.Event, Token)));

        Assert.All(statuses, status => Assert.Equal((JobState.Committed, statuses[0].Reference), (status.State, status.Reference)));
        Assert.Equal(file.Tensors.Select(tensor => tensor.Sha256).Distinct().Count(), (await storage.StoredAsync("tensors/")).Count);
        Assert.Equal(2, (await storage.StoredAsync("checkpoints/")).Count);
        await storage.ReadAllAsync("plain");
    }

    [Fact]
    public async Task ManyWorkersWithOneLargeTensorMakeOneShard()
    {
        var storage = await StorageContainers.CreateAsync(azurite);
        var upload = await storage.UploadAsync(
            "model.safetensors", await Checkpoints.SafetensorsAsync(0, new SyntheticTensor("t", TensorDType.U8, [17 << 20])));

        var statuses = await Task.WhenAll(Enumerable.Range(0, 3).Select(_ => storage.NewPipeline().UploadedAsync(upload.Event, Token)));

        Assert.All(statuses, status => Assert.Equal(JobState.Committed, status.State));
        Assert.Single(await storage.StoredAsync("tensors/"));
        await storage.ReadAllAsync("model");
    }

    [Fact]
    public async Task AnUploadThatIsOverwrittenAtAnyRequestGivesWayToTheNewerOne()
    {
        var requests = int.MaxValue;
        for (var at = 0; at < requests; at++)
        {
            var hook = new RequestHook();
            var storage = await StorageContainers.CreateAsync(azurite, hook);
            var before = await storage.Plain.NewPipeline().UploadedAsync(
                (await storage.UploadAsync("model.safetensors", await Checkpoints.SmallAsync(1))).Event, Token);
            var older = await storage.UploadAsync("model.safetensors", await Checkpoints.SmallAsync(2));
            var (newer, moment) = ((Upload?)null, at);
            hook.Sending = async (number, _) => newer = number == moment
                ? await storage.UploadAsync("model.safetensors", await Checkpoints.SmallAsync(3))
                : newer;

            var status = await storage.NewPipeline().UploadedAsync(older.Event, Token);

            var latest = $"model@{(await storage.TagAsync("model"))!.Digest}";
            Assert.Equal(status.State == JobState.Superseded ? before.Reference : status.Reference, latest);
            if (newer is null)
            {
                requests = hook.Count;
                Assert.Equal(JobState.Committed, status.State);
                continue;
            }

            var last = await storage.Plain.NewPipeline().UploadedAsync(newer.Event, Token);
            Assert.Equal(JobState.Committed, last.State);
            Assert.Equal(last.Reference, $"model@{(await storage.TagAsync("model"))!.Digest}");
            await storage.ReadAllAsync("model");
        }
    }

    [Fact]
    public async Task AnUploadThatIsDeletedMeanwhileIsSuperseded()
    {
        var storage = await StorageContainers.CreateAsync(azurite);
        var upload = await storage.UploadAsync("model.safetensors", await Checkpoints.SmallAsync());
        await storage.Plain.Uploads.DeleteBlobAsync("model.safetensors", cancellationToken: Token);

        var status = await storage.NewPipeline().UploadedAsync(upload.Event, Token);

        Assert.Equal((JobState.Superseded, null), (status.State, status.Error));
        Assert.Empty(await storage.StoredAsync());
    }

    [Fact]
    public async Task EventsInTheWrongOrderLeaveTheNewerUploadAsLatest()
    {
        var storage = await StorageContainers.CreateAsync(azurite);
        var older = await storage.UploadAsync("model.safetensors", await Checkpoints.SmallAsync(1));
        var newer = await storage.UploadAsync("model.safetensors", await Checkpoints.SmallAsync(2));

        var last = await storage.NewPipeline().UploadedAsync(newer.Event, Token);
        var late = await storage.NewPipeline().UploadedAsync(older.Event, Token);

        Assert.Equal((JobState.Committed, JobState.Superseded), (last.State, late.State));
        Assert.Equal(last.Reference, $"model@{(await storage.TagAsync("model"))!.Digest}");
    }

    [Fact]
    public async Task AnOlderUploadOfAnotherFileThatFinishesLateIsPublishedButNotLatest()
    {
        var storage = await StorageContainers.CreateAsync(azurite);
        var older = await storage.UploadAsync("model.safetensors", await Checkpoints.SmallAsync(1));
        var newer = await UploadLaterAsync(storage, older, "model/model.safetensors", await Checkpoints.SmallAsync(2));

        var last = await storage.NewPipeline().UploadedAsync(newer.Event, Token);
        var late = await storage.NewPipeline().UploadedAsync(older.Event, Token);

        Assert.Equal((JobState.Committed, JobState.Committed), (last.State, late.State));
        Assert.NotEqual(last.Reference, late.Reference);
        Assert.Equal(last.Reference, $"model@{(await storage.TagAsync("model"))!.Digest}");
        await storage.ReadAllAsync(late.Reference!);
    }

    [Fact]
    public async Task AMoveByHandIsNotUndoneByAnEventThatIsRepeatedAfterItsStatusWasCleared()
    {
        var storage = await StorageContainers.CreateAsync(azurite);
        var first = await storage.UploadAsync("model.safetensors", await Checkpoints.SmallAsync(1));
        var one = await storage.NewPipeline().UploadedAsync(first.Event, Token);
        var second = await UploadLaterAsync(storage, first, "model.safetensors", await Checkpoints.SmallAsync(2));
        var two = await storage.NewPipeline().UploadedAsync(second.Event, Token);
        var chosen = CheckpointReference.Parse(one.Reference!).Digest!.Value;
        await new CheckpointTags(new BlobShardStore(storage.Plain.Shards)).MoveAsync(CheckpointReference.Parse("model"), chosen, null, Token);
        await storage.Plain.Work.DeleteBlobAsync($"jobs/{two.Job}/status.json", cancellationToken: Token);

        var again = await storage.NewPipeline().UploadedAsync(second.Event, Token);

        Assert.Equal((two.Reference, 0), (again.Reference, again.ShardsCreated));
        Assert.Equal(chosen, (await storage.TagAsync("model"))!.Digest);
    }

    [Fact]
    public async Task AStatusThatIsClearedMidwayIsAnErrorOfThisAttemptAlone()
    {
        var hook = new RequestHook();
        var storage = await StorageContainers.CreateAsync(azurite, hook);
        var upload = await storage.UploadAsync("model.safetensors", await Checkpoints.SmallAsync());
        hook.Answered = async (_, request) =>
        {
            if (request.Method == RequestMethod.Get && request.Uri.ToUri().AbsolutePath.Contains(storage.Uploads.Name, StringComparison.Ordinal))
            {
                await foreach (var blob in storage.Plain.Work.GetBlobsAsync(cancellationToken: Token))
                {
                    await storage.Plain.Work.DeleteBlobAsync(blob.Name, cancellationToken: Token);
                }
            }
        };

        var failure = await Assert.ThrowsAsync<InvalidOperationException>(() => storage.NewPipeline().UploadedAsync(upload.Event, Token));
        var status = await storage.Plain.NewPipeline().UploadedAsync(upload.Event, Token);

        Assert.Contains("was deleted while it was in work", failure.Message, StringComparison.Ordinal);
        Assert.Equal(JobState.Committed, status.State);
    }

    // The service's clock of blobs ticks once a second, so the upload is repeated until it has ticked.
    private static async Task<Upload> UploadLaterAsync(StorageContainers storage, Upload older, string path, BinaryData content) =>
        await Eventually.GetAsync(async () =>
        {
            var upload = await storage.UploadAsync(path, content);
            return upload.WrittenAt > older.WrittenAt ? upload : null;
        });
}
