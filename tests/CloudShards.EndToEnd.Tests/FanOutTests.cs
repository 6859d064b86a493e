using Azure.Core;
using Azure.Core.Pipeline;
using CloudShards.Formats;
using CloudShards.Sharding;
using CloudShards.Testing;
using Microsoft.Extensions.Time.Testing;

namespace CloudShards.EndToEnd.Tests;

/// <summary>Large checkpoints: one worker plans, many write, whoever completes the set publishes.</summary>
public sealed class FanOutTests(AzuriteFixture azurite)
{
    private const int Tensors = 8;
    private static readonly ShardingOptions Options = new() { MaxBatchShards = 2, MaxPackedBytes = 0 };
    private static readonly ShardingOptions HalvesOptions = new() { MaxBatchShards = Tensors / 2, MaxPackedBytes = 0 };
    private static readonly ShardingOptions OtherOptions = new() { MaxBatchShards = 5, MaxPackedBytes = 64 };

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData(1)]
    [InlineData(4)]
    public async Task ManyWorkersMakeTheManifestThatOneWorkerMakes(int workers)
    {
        var (storage, queue, upload) = await UploadAsync();
        var alone = await StorageContainers.CreateAsync(azurite);
        var expected = await alone.NewPipeline(Options).UploadedAsync((await alone.UploadAsync(upload.Path, await FileAsync())).Event, Token);

        var dispatched = await storage.NewPipeline(Options, queue.Client).UploadedAsync(upload.Event, Token);
        Assert.Equal((JobState.Sharding, new(0, Tensors)), (dispatched.State, dispatched.Shards));
        Assert.NotNull(dispatched.DispatchedAt);
        await queue.WorkOffAsync([.. Enumerable.Range(0, workers).Select(_ => storage.NewPipeline(Options, queue.Client))]);

        var status = await StatusAsync(storage, upload);
        Assert.Equal((JobState.Committed, expected.Reference, null), (status.State, status.Reference, status.Error));
        Assert.Equal((new(Tensors, Tensors), Tensors), (status.Shards, status.ShardsCreated));
        Assert.Equal((status.Bytes.Total, true), (status.Bytes.Done, status.BytesPerSecond > 0));
        await storage.ReadAllAsync("model");
    }

    [Fact]
    public async Task WorkersThatFinishAtOncePublishOnce()
    {
        var requests = new RequestRecorder();
        var (storage, queue, upload) = await UploadAsync(requests);
        await storage.NewPipeline(Options, queue.Client).UploadedAsync(upload.Event, Token);
        var messages = await queue.TakeAllAsync();

        // Each batch twice, all at once.
        var statuses = await Task.WhenAll(messages.Concat(messages).Select(message => storage.NewPipeline(Options, queue.Client).BatchAsync(message, Token)));

        Assert.Contains(statuses, status => status!.State == JobState.Committed);
        var written = requests.Requests.Where(request => request is { Method: "PUT", Status: 201 } && request.Path.Contains(storage.Shards.Name, StringComparison.Ordinal)).ToList();
        Assert.Single(written, request => request.Blob.Contains("/manifests/", StringComparison.Ordinal));
        Assert.Single(written, request => request.Blob.Contains("/tags/", StringComparison.Ordinal));
        Assert.Equal(Tensors, written.Count(request => request.Blob.StartsWith("tensors/", StringComparison.Ordinal)));
        await storage.ReadAllAsync("model");
    }

    [Fact]
    public async Task TheStatusTellsHowFarTheJobIs()
    {
        var (storage, queue, upload) = await UploadAsync();
        var worker = storage.NewPipeline(Options, queue.Client);
        await worker.UploadedAsync(upload.Event, Token);

        var done = new List<long>();
        foreach (var message in await queue.TakeAllAsync())
        {
            await worker.BatchAsync(message, Token);
            done.Add((await StatusAsync(storage, upload)).Shards.Done);
        }

        Assert.Equal(Enumerable.Range(1, Tensors / 2).Select(batch => 2L * batch), done);
    }

    [Fact]
    public async Task TheStatusMovesWhileABatchIsUnderWay()
    {
        var hook = new RequestHook();
        var (storage, queue, upload) = await UploadAsync(hook);
        var clock = new FakeTimeProvider(DateTimeOffset.UtcNow);
        var options = Options with { MaxBatchShards = 4 };
        await storage.Plain.NewPipeline(options, queue.Client).UploadedAsync(upload.Event, Token);
        var messages = await queue.TakeAllAsync();
        await storage.Plain.NewPipeline(options, queue.Client).BatchAsync(messages[0], Token);
        var (written, told) = (0, 0L);
        hook.Sending = async (_, request) =>
        {
            if (request.Method == RequestMethod.Put && request.Uri.Path.Contains("/tensors/", StringComparison.Ordinal) && Interlocked.Increment(ref written) == 4)
            {
                await Eventually.TrueAsync(async () =>
                {
                    clock.Advance(JobRuns.ReportInterval);
                    return (told = (await StatusAsync(storage, upload)).Shards.Done) == 7;
                });
            }
        };

        var status = await storage.NewPipeline(options, queue.Client, clock).BatchAsync(messages[1], Token);

        Assert.Equal((7, JobState.Committed, new(Tensors, Tensors)), (told, status!.State, status.Shards));
    }

    [Fact]
    public async Task AnEventThatIsRepeatedAfterTheDispatchSendsNothing()
    {
        var (storage, queue, upload) = await UploadAsync();
        var worker = storage.NewPipeline(Options, queue.Client);
        await worker.UploadedAsync(upload.Event, Token);
        Assert.Equal(Tensors / 2, (await queue.TakeAllAsync()).Count);

        await worker.UploadedAsync(upload.Event, Token);

        Assert.Empty(await queue.TakeAllAsync());
    }

    [Fact]
    public async Task AWorkerMayDieAtAnyRequestOfItsDispatch()
    {
        var requests = int.MaxValue;
        for (var at = 0; at < requests; at++)
        {
            var hook = new RequestHook();
            var (storage, queue, upload) = await UploadAsync(hook);
            using var life = CancellationTokenSource.CreateLinkedTokenSource(Token);
            var moment = at;
            hook.Answered = (number, _) => number == moment ? life.CancelAsync() : Task.CompletedTask;
            var died = await Record.ExceptionAsync(() => storage.NewPipeline(Options, queue.Client).UploadedAsync(upload.Event, life.Token));
            requests = died is null ? at : requests;
            hook.Answered = (_, _) => Task.CompletedTask;

            // The next one has other options; the plan that was begun stands.
            await storage.NewPipeline(OtherOptions, queue.Client).UploadedAsync(upload.Event, Token);
            await queue.WorkOffAsync(storage.NewPipeline(OtherOptions, queue.Client));

            var status = await StatusAsync(storage, upload);
            Assert.Equal((JobState.Committed, new(Tensors, Tensors)), (status.State, status.Shards));
            await storage.ReadAllAsync("model");
        }

        Assert.InRange(requests, 10, 1000);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task AWorkerMayDieAtAnyRequestOfTheLastBatch(bool onceTheServerHasDoneItsPart)
    {
        var requests = int.MaxValue;
        for (var at = 0; at < requests; at++)
        {
            var hook = new RequestHook();
            var (storage, queue, upload) = await UploadAsync(hook);
            await storage.NewPipeline(HalvesOptions, queue.Client).UploadedAsync(upload.Event, Token);
            var messages = await queue.TakeAllAsync();
            foreach (var message in messages.Skip(1))
            {
                await storage.NewPipeline(HalvesOptions, queue.Client).BatchAsync(message, Token);
            }

            using var life = CancellationTokenSource.CreateLinkedTokenSource(Token);
            var moment = hook.Count + at;
            Task DieAsync(int number) => number == moment ? life.CancelAsync() : Task.CompletedTask;
            hook.Sending = (number, _) => onceTheServerHasDoneItsPart ? Task.CompletedTask : DieAsync(number);
            hook.Answered = (number, _) => onceTheServerHasDoneItsPart ? DieAsync(number) : Task.CompletedTask;
            var died = await Record.ExceptionAsync(() => storage.NewPipeline(HalvesOptions, queue.Client).BatchAsync(messages[0], life.Token));
            requests = died is null ? at : requests;

            var status = await storage.Plain.NewPipeline(HalvesOptions, queue.Client).BatchAsync(messages[0], Token);
            Assert.Equal((JobState.Committed, new(Tensors, Tensors)), (status!.State, status.Shards));
            await storage.ReadAllAsync("model");
        }

        Assert.InRange(requests, 10, 1000);
    }

    [Fact]
    public async Task AnUploadThatIsOverwrittenBetweenBatchesGivesWay()
    {
        var (storage, queue, upload) = await UploadAsync();
        var worker = storage.NewPipeline(Options, queue.Client);
        await worker.UploadedAsync(upload.Event, Token);
        var newer = await storage.UploadAsync(upload.Path, await FileAsync(seed: 1));

        var statuses = await queue.WorkOffAsync(worker);

        Assert.All(statuses, status => Assert.Equal(JobState.Superseded, status!.State));
        Assert.Equal(JobState.Superseded, (await StatusAsync(storage, upload)).State);
        Assert.Empty(await storage.StoredAsync("checkpoints/"));
        await worker.UploadedAsync(newer.Event, Token);
        await queue.WorkOffAsync(worker);
        Assert.Equal(JobState.Committed, (await StatusAsync(storage, newer)).State);
    }

    [Fact]
    public async Task ABatchThatWasTriedTooOftenEndsTheJobWithItsError()
    {
        var (storage, queue, upload) = await UploadAsync();
        var worker = storage.NewPipeline(Options, queue.Client);
        await worker.UploadedAsync(upload.Event, Token);
        var messages = await queue.TakeAllAsync();
        await storage.Plain.Shards.DeleteAsync(cancellationToken: Token);
        await Assert.ThrowsAsync<Azure.RequestFailedException>(() => worker.BatchAsync(messages[0], Token));

        var status = await worker.BatchFailedAsync(messages[0], Token);

        Assert.Equal((JobState.Failed, nameof(Azure.RequestFailedException)), (status!.State, status.Error!.Cause));
        Assert.Contains("tried too often", status.Error.Message, StringComparison.Ordinal);
        Assert.Equal(JobState.Failed, (await worker.BatchAsync(messages[1], Token))!.State);
        Assert.Equal(status, await StatusAsync(storage, upload));
    }

    [Theory]
    [InlineData("hello")]
    [InlineData("{}")]
    [InlineData("""{"job": "../x", "batch": 0}""")]
    [InlineData("""{"job": "abc", "batch": -1}""")]
    public async Task WhatIsNoMessageOfABatchIsSaidSoAndDropped(string message)
    {
        var storage = await StorageContainers.CreateAsync(azurite);
        var worker = storage.NewPipeline(Options, (await BatchQueue.CreateAsync(azurite)).Client);

        await Assert.ThrowsAsync<FormatException>(() => worker.BatchAsync(new(message), Token));
        Assert.Null(await worker.BatchFailedAsync(new(message), Token));
    }

    [Fact]
    public async Task ABatchOfAJobThatIsGoneIsDropped()
    {
        var storage = await StorageContainers.CreateAsync(azurite);
        var worker = storage.NewPipeline(Options, (await BatchQueue.CreateAsync(azurite)).Client);

        Assert.Null(await worker.BatchAsync(new("""{"job": "abc", "batch": 0}"""), Token));
        Assert.Null(await worker.BatchFailedAsync(new("""{"job": "abc", "batch": 0}"""), Token));
    }

    [Fact]
    public async Task ReceiptsThatAreHalfADayOldAreCheckedAgain()
    {
        var (storage, queue, upload) = await UploadAsync();
        await storage.NewPipeline(Options, queue.Client).UploadedAsync(upload.Event, Token);
        var messages = await queue.TakeAllAsync();
        foreach (var message in messages.Skip(1))
        {
            await storage.NewPipeline(Options, queue.Client).BatchAsync(message, Token);
        }

        // Meanwhile the shards of the first batches were swept: no manifest names them.
        foreach (var shard in (await storage.StoredAsync("tensors/")).Keys.Take(5))
        {
            await storage.Shards.DeleteBlobAsync(shard, cancellationToken: Token);
        }

        var later = storage.NewPipeline(Options, queue.Client, new FakeTimeProvider(DateTimeOffset.UtcNow + TimeSpan.FromHours(13)));
        Assert.Equal(JobState.Sharding, (await later.BatchAsync(messages[0], Token))!.State);
        var again = await queue.TakeAllAsync();
        Assert.Equal(messages.Count, again.Count);
        foreach (var message in again)
        {
            Assert.Equal(JobState.Sharding, (await later.BatchAsync(message, Token))!.State);
        }

        Assert.Equal(JobState.Committed, (await storage.NewPipeline(Options, queue.Client).BatchAsync(messages[0], Token))!.State);
        await storage.ReadAllAsync("model");
    }

    private async Task<(StorageContainers Storage, BatchQueue Queue, Upload Upload)> UploadAsync(params HttpPipelinePolicy[] policies)
    {
        var storage = await StorageContainers.CreateAsync(azurite, policies);
        return (storage, await BatchQueue.CreateAsync(azurite), await storage.UploadAsync("model.safetensors", await FileAsync()));
    }

    private static Task<BinaryData> FileAsync(int seed = 0) => Checkpoints.SafetensorsAsync(
        seed, [.. Enumerable.Range(0, Tensors).Select(i => new SyntheticTensor($"t{i}", TensorDType.F32, [i + 1, 8]))]);

    private static async Task<JobStatus> StatusAsync(StorageContainers storage, Upload upload) =>
        (await storage.Plain.NewPipeline().TryGetStatusAsync(upload.Path, upload.ETag, Token))!;
}
