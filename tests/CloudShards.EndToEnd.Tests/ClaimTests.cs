using Azure.Core;
using CloudShards.Sharding;
using CloudShards.Testing;
using Microsoft.Extensions.Time.Testing;

namespace CloudShards.EndToEnd.Tests;

/// <summary>Several workers with events of one checkpoint: one of them has it for itself, and the others' events come back.</summary>
public sealed class ClaimTests(AzuriteFixture azurite)
{
    // It stands unless a test moves it: a slow machine loses no claim.
    private readonly FakeTimeProvider _clock = new(DateTimeOffset.UtcNow);

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task OneWorkerReadsAndTheOthersComeBackLater()
    {
        var requests = new RequestRecorder();
        var storage = await StorageContainers.CreateAsync(azurite, requests);
        var events = await BatchQueue.CreateAsync(azurite);
        var upload = await storage.UploadAsync("model.safetensors", await Checkpoints.SmallAsync());

        var statuses = await Task.WhenAll(Enumerable.Range(0, 6).Select(_ => storage.NewPipeline(clock: _clock, events: events.Client).UploadedAsync(upload.Event, Token)));

        Assert.Single(requests.Requests, request => request.Blob.Contains("/manifests/", StringComparison.Ordinal) && request.Method == "PUT");
        Assert.Equal(2, requests.Requests.Count(request => request is { Method: "GET", Component: null } && request.Path.Contains(storage.Uploads.Name, StringComparison.Ordinal)));
        Assert.Contains(statuses, status => status.State == JobState.Committed);
        Assert.Equal(statuses.Count(status => !status.IsFinal), await events.CountAsync());
        Assert.Equal(JobState.Committed, (await storage.NewPipeline(clock: _clock, events: events.Client).UploadedAsync(upload.Event, Token)).State);
    }

    [Theory]
    [MemberData(nameof(CheckpointSet.Folders), MemberType = typeof(CheckpointSet))]
    public async Task TheFilesOfASetAreReadByOneWorker(string folder)
    {
        var requests = new RequestRecorder();
        var storage = await StorageContainers.CreateAsync(azurite, requests);
        var events = await BatchQueue.CreateAsync(azurite);
        var set = CheckpointSet.OfCorpus(folder);
        var uploads = await CheckpointSet.UploadAsync(storage, set.Files);

        await Task.WhenAll(uploads.Concat(uploads).Select(upload => storage.NewPipeline(clock: _clock, events: events.Client).UploadedAsync(upload.Event, Token)));

        Assert.Single(requests.Requests, request => request.Blob.Contains("/manifests/", StringComparison.Ordinal) && request.Method == "PUT");
        var status = (await storage.NewPipeline().TryGetStatusAsync(uploads[0].Path, uploads[0].ETag, Token))!;
        Assert.Equal((JobState.Committed, null), (status.State, status.ClaimedUntil));
        await CheckpointSet.AssertAllSayAsync(status, uploads, storage);
    }

    [Fact]
    public async Task WhatADeadWorkerHadIsTakenOnceItsClaimHasEnded()
    {
        var hook = new RequestHook();
        var storage = await StorageContainers.CreateAsync(azurite, hook);
        var events = await BatchQueue.CreateAsync(azurite);
        var upload = await storage.UploadAsync("model.safetensors", await Checkpoints.SmallAsync());
        using var life = CancellationTokenSource.CreateLinkedTokenSource(Token);
        hook.Sending = (_, request) => IsRead(storage, request) ? life.CancelAsync() : Task.CompletedTask;
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => storage.NewPipeline(clock: _clock, events: events.Client).UploadedAsync(upload.Event, life.Token));

        _clock.Advance(JobRuns.ClaimLifetime - TimeSpan.FromSeconds(1));
        var early = await storage.Plain.NewPipeline(clock: _clock, events: events.Client).UploadedAsync(upload.Event, Token);
        Assert.Equal((JobState.Sharding, 1), (early.State, await events.CountAsync()));

        _clock.Advance(TimeSpan.FromSeconds(1));
        Assert.Equal(JobState.Committed, (await storage.Plain.NewPipeline(clock: _clock, events: events.Client).UploadedAsync(upload.Event, Token)).State);
    }

    [Fact]
    public async Task AWorkerThatTakesLongKeepsItsClaim()
    {
        var hook = new RequestHook();
        var storage = await StorageContainers.CreateAsync(azurite, hook);
        var events = await BatchQueue.CreateAsync(azurite);
        var upload = await storage.UploadAsync("model.safetensors", await Checkpoints.SmallAsync());
        var (isFirst, other) = (true, (JobStatus?)null);
        hook.Sending = async (_, request) =>
        {
            if (isFirst && IsRead(storage, request))
            {
                isFirst = false;
                for (var second = 0; second < 60; second += 5)
                {
                    _clock.Advance(JobRuns.ReportInterval);
                    await Eventually.TrueAsync(async () => (await StatusAsync(storage, upload)).ClaimedUntil == _clock.GetUtcNow() + JobRuns.ClaimLifetime);
                }

                other = await storage.Plain.NewPipeline(clock: _clock, events: events.Client).UploadedAsync(upload.Event, Token);
            }
        };

        var status = await storage.NewPipeline(clock: _clock, events: events.Client).UploadedAsync(upload.Event, Token);

        Assert.Equal((JobState.Committed, JobState.Sharding), (status.State, other!.State));
    }

    [Fact]
    public async Task AnAttemptThatFailsIsNotWaitedFor()
    {
        var storage = await StorageContainers.CreateAsync(azurite);
        var events = await BatchQueue.CreateAsync(azurite);
        var upload = await storage.UploadAsync("model.safetensors", await Checkpoints.SmallAsync());
        var hook = new RequestHook { Answering = (_, _) => new ErrorResponse(403, "AuthorizationPermissionMismatch") };
        await Assert.ThrowsAsync<Azure.RequestFailedException>(() => storage.BeforeSigning(hook).NewPipeline(clock: _clock, events: events.Client).UploadedAsync(upload.Event, Token));

        var status = await storage.NewPipeline(clock: _clock, events: events.Client).UploadedAsync(upload.Event, Token);

        Assert.Equal((JobState.Committed, 0), (status.State, await events.CountAsync()));
    }

    private static bool IsRead(StorageContainers storage, Request request) =>
        request.Method == RequestMethod.Get && request.Uri.Path.Contains($"{storage.Uploads.Name}/", StringComparison.Ordinal);

    private static async Task<JobStatus> StatusAsync(StorageContainers storage, Upload upload) =>
        (await storage.Plain.NewPipeline().TryGetStatusAsync(upload.Path, upload.ETag, Token))!;
}
