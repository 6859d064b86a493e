using CloudShards.Formats;
using CloudShards.Sharding;
using CloudShards.Testing;
using Microsoft.Extensions.Time.Testing;

namespace CloudShards.EndToEnd.Tests;

/// <summary>Of several messages about one job one is tried too often, while another worker has the job: whatever it ends as, it is what readers see.</summary>
public sealed class GiveUpTests(AzuriteFixture azurite)
{
    private static readonly ShardingOptions Options = new() { MaxBatchShards = 2, MaxPackedBytes = 0 };

    // It stands: a slow machine loses no claim.
    private readonly FakeTimeProvider _clock = new(DateTimeOffset.UtcNow);

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task AnEventThatIsGivenUpWhileAnotherWorkerHasItEndsNothing()
    {
        var requests = int.MaxValue;
        for (var at = 0; at < requests; at++)
        {
            var hook = new RequestHook();
            var storage = await StorageContainers.CreateAsync(azurite, hook);
            var events = await BatchQueue.CreateAsync(azurite);
            var upload = await storage.UploadAsync("model.safetensors", await FileAsync());
            var (moment, isGivenUp) = (at, false);
            hook.Sending = async (number, _) =>
            {
                if (number == moment)
                {
                    isGivenUp = true;
                    await storage.Plain.NewPipeline(clock: _clock, events: events.Client).FailedAsync(upload.Event, Token);
                }
            };

            var status = await storage.NewPipeline(clock: _clock, events: events.Client).UploadedAsync(upload.Event, Token);

            requests = isGivenUp ? requests : hook.Count;
            await AssertSeenAsync(storage, status);

            // Before it has the job it has nothing to lose; and it must be able to die of what the other's message failed of.
            Assert.Equal(at <= 1 && isGivenUp ? JobState.Failed : JobState.Committed, status.State);
            Assert.True(status.State == JobState.Failed || !isGivenUp || at <= 2 || await events.CountAsync() == 1, $"At {at} the event is not on its queue again.");
        }

        Assert.InRange(requests, 10, 1000);
    }

    [Fact]
    public async Task ABatchThatIsGivenUpWhileAnotherWorkerPublishesEndsNothing()
    {
        var requests = int.MaxValue;
        var committed = 0;
        for (var at = 0; at < requests; at++)
        {
            var hook = new RequestHook();
            var storage = await StorageContainers.CreateAsync(azurite, hook);
            var queue = await BatchQueue.CreateAsync(azurite);
            var upload = await storage.UploadAsync("model.safetensors", await FileAsync());
            await storage.Plain.NewPipeline(Options, queue.Client, _clock).UploadedAsync(upload.Event, Token);
            var messages = await queue.TakeAllAsync();
            foreach (var message in messages.Skip(1))
            {
                await storage.Plain.NewPipeline(Options, queue.Client, _clock).BatchAsync(message, Token);
            }

            var (moment, isGivenUp) = (at, false);
            hook.Sending = async (number, _) =>
            {
                if (number == moment)
                {
                    isGivenUp = true;
                    await storage.Plain.NewPipeline(Options, queue.Client, _clock).BatchFailedAsync(messages[0], Token);
                }
            };

            var status = await storage.NewPipeline(Options, queue.Client, _clock).BatchAsync(messages[0], Token);

            requests = isGivenUp ? requests : hook.Count;
            committed += isGivenUp && status!.State == JobState.Committed ? 1 : 0;
            await AssertSeenAsync(storage, status!);
        }

        Assert.InRange(requests, 10, 1000);
        Assert.NotEqual(0, committed);
    }

    [Fact]
    public async Task ABatchThatOthersHaveDoneIsNoReasonToEndTheJob()
    {
        var (_, _, worker, messages) = await DispatchAsync();
        await worker.BatchAsync(messages[0], Token);

        var status = await worker.BatchFailedAsync(messages[0], Token);

        Assert.Equal(JobState.Sharding, status!.State);
        foreach (var message in messages.Skip(1))
        {
            status = await worker.BatchAsync(message, Token);
        }

        Assert.Equal(JobState.Committed, status!.State);
    }

    /// <summary>All batches are done, but the checkpoint cannot be published: nobody else would end the job.</summary>
    [Fact]
    public async Task ABatchThatCannotPublishEndsTheJob()
    {
        var (storage, queue, worker, messages) = await DispatchAsync();
        foreach (var message in messages.Skip(1))
        {
            await worker.BatchAsync(message, Token);
        }

        var hook = new RequestHook
        {
            Answering = (_, request) => request.Uri.Path.Contains("/manifests/", StringComparison.Ordinal) ? new ErrorResponse(403, "AuthorizationPermissionMismatch") : null,
        };
        await Assert.ThrowsAsync<Azure.RequestFailedException>(() => storage.BeforeSigning(hook).NewPipeline(Options, queue.Client, _clock).BatchAsync(messages[0], Token));

        var status = await worker.BatchFailedAsync(messages[0], Token);

        Assert.Equal((JobState.Failed, nameof(Azure.RequestFailedException)), (status!.State, status.Error!.Cause));
    }

    [Fact]
    public async Task AFileThatIsGivenUpDoesNotEndItsSetWhileAnotherWorkerHasIt()
    {
        var requests = int.MaxValue;
        for (var at = 0; at < requests; at += 3)
        {
            var hook = new RequestHook();
            var storage = await StorageContainers.CreateAsync(azurite, hook);
            var events = await BatchQueue.CreateAsync(azurite);
            var set = CheckpointSet.OfCorpus("hf_st");
            var uploads = await CheckpointSet.UploadAsync(storage, set.Files);
            var (moment, isGivenUp) = (at, false);
            hook.Sending = async (number, _) =>
            {
                if (number == moment)
                {
                    isGivenUp = true;
                    var other = storage.Plain.NewPipeline(clock: _clock, events: events.Client);
                    await other.UploadedAsync(uploads[1].Event, Token);
                    await other.FailedAsync(uploads[1].Event, Token);
                }
            };

            var status = await storage.NewPipeline(clock: _clock, events: events.Client).UploadedAsync(uploads[0].Event, Token);
            requests = isGivenUp ? requests : hook.Count;

            // The event of the file, and of this one, may be on the queue again, to look once more.
            status = (await storage.Plain.NewPipeline().UploadedAsync(uploads[0].Event, Token))!;
            Assert.Equal(JobState.Committed, status.State);
            await CheckpointSet.AssertAllSayAsync(status, uploads, storage.Plain);
        }

        Assert.InRange(requests, 10, 1000);
    }

    private async Task<(StorageContainers Storage, BatchQueue Queue, CheckpointPipeline Worker, IReadOnlyList<BinaryData> Messages)> DispatchAsync()
    {
        var storage = await StorageContainers.CreateAsync(azurite);
        var queue = await BatchQueue.CreateAsync(azurite);
        var upload = await storage.UploadAsync("model.safetensors", await FileAsync());
        var worker = storage.NewPipeline(Options, queue.Client, _clock);
        await worker.UploadedAsync(upload.Event, Token);
        return (storage, queue, worker, await queue.TakeAllAsync());
    }

    private static async Task AssertSeenAsync(StorageContainers storage, JobStatus status)
    {
        Assert.True(status.IsFinal);
        Assert.Equal(status.State == JobState.Committed ? status.Reference : null, await storage.TagAsync("model") is { } tag ? $"model@{tag.Digest}" : null);
    }

    private static Task<BinaryData> FileAsync() => Checkpoints.SafetensorsAsync(
        0, [.. Enumerable.Range(0, 4).Select(i => new SyntheticTensor($"t{i}", TensorDType.U8, [i + 1]))]);
}
