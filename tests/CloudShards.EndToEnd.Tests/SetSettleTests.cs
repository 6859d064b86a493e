using CloudShards.Sharding;
using CloudShards.Testing;
using Microsoft.Extensions.Time.Testing;

namespace CloudShards.EndToEnd.Tests;

/// <summary>Sets that are uploaded over an earlier version, file by file: <c>latest</c> never names a mix because of that, and nobody waits for ever.</summary>
public sealed class SetSettleTests(AzuriteFixture azurite)
{
    private static readonly CheckpointSet Set = CheckpointSet.OfCorpus("hf_st");

    private readonly FakeTimeProvider _clock = new(DateTimeOffset.UtcNow);
    private IReadOnlyList<Upload> _uploads = [];

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task TheFirstVersionDoesNotWait()
    {
        var (storage, events) = await CreateAsync();
        var uploads = await CheckpointSet.UploadAsync(storage, Set.Files);

        var status = await Worker(storage, events).UploadedAsync(uploads[1].Event, Token);

        Assert.Equal(JobState.Committed, status.State);
        Assert.Equal(0, await events.CountAsync());
    }

    [Fact]
    public async Task ASetThatIsReplacedFileByFileIsPublishedOnceItIsWhole()
    {
        var (storage, events) = await CreateAsync();
        var first = await CommitAsync(storage, events);
        var newer = new List<Upload>();
        foreach (var (i, part) in Set.Parts.Index())
        {
            var retrained = await CheckpointSet.RetrainedAsync(part, seed: i + 1);
            newer.Add(await storage.UploadAsync(retrained.Path, retrained.Content));

            var waiting = await Worker(storage, events).UploadedAsync(newer[^1].Event, Token);

            Assert.Equal((JobState.Waiting, null, Set.Name), (waiting.State, waiting.WaitsFor, waiting.Name));
            Assert.Equal(newer[^1].WrittenAt + new ShardingOptions().SetQuietPeriod, waiting.SettlesAt);
            Assert.Equal(first.Reference, await LatestAsync(storage));
        }

        // With the index no file of the earlier version is left.
        newer.Add(await storage.UploadAsync(Set.Index.Path, Set.Index.Content));
        var status = await Worker(storage, events).UploadedAsync(newer[^1].Event, Token);

        Assert.Equal((JobState.Committed, null), (status.State, status.SettlesAt));
        Assert.Equal(status.Reference, await LatestAsync(storage));
        Assert.Equal(2, (await storage.StoredAsync($"checkpoints/{Set.Name}/manifests/")).Count);
        await CheckpointSet.AssertAllSayAsync(status, newer, storage);
    }

    [Fact]
    public async Task ASetOfWhichOnePartIsReplacedIsPublishedAfterAWhile()
    {
        var hook = new RequestHook();
        var delays = new List<string>();
        var (storage, events) = await CreateAsync(hook);
        var first = await CommitAsync(storage, events);
        hook.Sending = (_, request) =>
        {
            delays.AddRange(request.Uri.Query.Split('?', '&').Where(part => part.StartsWith("visibilitytimeout=", StringComparison.Ordinal)));
            return Task.CompletedTask;
        };
        var retrained = await CheckpointSet.RetrainedAsync(Set.Parts[0], seed: 1);
        var newer = await storage.UploadAsync(retrained.Path, retrained.Content);
        _clock.SetUtcNow(newer.WrittenAt + TimeSpan.FromSeconds(30));
        await Worker(storage, events).UploadedAsync(newer.Event, Token);

        Assert.Equal(["visibilitytimeout=90"], delays);
        Assert.Equal(1, await events.CountAsync());
        _clock.Advance(TimeSpan.FromSeconds(90));
        var status = await Worker(storage, events).UploadedAsync(newer.Event, Token);

        Assert.Equal(JobState.Committed, status.State);
        Assert.NotEqual(first.Reference, status.Reference);
        Assert.Equal(status.Reference, await LatestAsync(storage));
        Assert.Single(delays);
    }

    [Fact]
    public async Task AQuietPeriodOfZeroIsNoWait()
    {
        var (storage, events) = await CreateAsync();
        await CommitAsync(storage, events);
        var retrained = await CheckpointSet.RetrainedAsync(Set.Parts[0], seed: 1);
        var newer = await storage.UploadAsync(retrained.Path, retrained.Content);
        _clock.SetUtcNow(newer.WrittenAt + TimeSpan.FromSeconds(1));

        var status = await storage.NewPipeline(new() { SetQuietPeriod = TimeSpan.Zero }, clock: _clock, events: events.Client).UploadedAsync(newer.Event, Token);

        Assert.Equal(JobState.Committed, status.State);
    }

    [Fact]
    public async Task AnEventThatIsRepeatedOnceItsStatusWasClearedDoesNotWait()
    {
        var (storage, events) = await CreateAsync();
        var first = await CommitAsync(storage, events);
        await foreach (var blob in storage.Work.GetBlobsAsync(cancellationToken: Token))
        {
            await storage.Work.DeleteBlobAsync(blob.Name, cancellationToken: Token);
        }

        var again = await Worker(storage, events).UploadedAsync(_uploads[0].Event, Token);

        Assert.Equal((JobState.Committed, first.Reference), (again.State, again.Reference));
    }

    private CheckpointPipeline Worker(StorageContainers storage, BatchQueue events) => storage.NewPipeline(clock: _clock, events: events.Client);

    private async Task<(StorageContainers Storage, BatchQueue Events)> CreateAsync(params RequestHook[] hooks) =>
        (await StorageContainers.CreateAsync(azurite), await BatchQueue.CreateAsync(azurite, hooks));

    private async Task<JobStatus> CommitAsync(StorageContainers storage, BatchQueue events)
    {
        _uploads = await CheckpointSet.UploadAsync(storage, Set.Files);
        var status = await Worker(storage, events).UploadedAsync(_uploads[0].Event, Token);
        Assert.Equal(JobState.Committed, status.State);
        return status;
    }

    private static async Task<string> LatestAsync(StorageContainers storage) => $"{Set.Name}@{(await storage.TagAsync(Set.Name))!.Digest}";
}
