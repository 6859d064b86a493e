using System.Collections.Concurrent;
using Azure;
using Azure.Core;
using CloudShards.Formats;
using CloudShards.Sharding;
using CloudShards.Testing;
using Microsoft.Extensions.Time.Testing;

namespace CloudShards.EndToEnd.Tests;

/// <summary>Workers that die and servers that fail, at every single request.</summary>
public sealed class FaultTests(AzuriteFixture azurite)
{
    // Shards alone and together, tied and as views: every kind of write that there is, in a few requests.
    private static readonly CorpusFile Tied = CorpusFile.Get("tied.pt");

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task AWorkerMayDieAtAnyRequest(bool onceTheServerHasDoneItsPart)
    {
        var (reference, requests) = await RunUndisturbedAsync();
        for (var last = 0; last < requests; last++)
        {
            var hook = new RequestHook();
            var storage = await StorageContainers.CreateAsync(azurite, hook);
            var upload = await storage.UploadAsync(Tied);
            using var life = CancellationTokenSource.CreateLinkedTokenSource(Token);
            var die = Die(life, last);
            (hook.Sending, hook.Answered) = onceTheServerHasDoneItsPart ? (Die(life, int.MaxValue), die) : (die, hook.Answered);

            var died = await Record.ExceptionAsync(() => storage.NewPipeline(clock: StandingClock()).UploadedAsync(upload.Event, life.Token));

            Assert.IsType<OperationCanceledException>(died, exactMatch: false);
            await AssertNothingHalfIsVisibleAsync(storage);
            var status = await storage.Plain.NewPipeline().UploadedAsync(upload.Event, Token);
            Assert.Equal((JobState.Committed, reference, null), (status.State, status.Reference, status.Error));
            await storage.ReadAllAsync("tied");
        }
    }

    [Theory]
    [InlineData(503, "ServerBusy")]
    [InlineData(500, "OperationTimedOut")]
    [InlineData(429, "TooManyRequests")]
    public async Task EveryRequestMayBeTurnedAwayOnce(int status, string code)
    {
        var seen = new ConcurrentDictionary<string, bool>();
        var hook = new RequestHook { Answering = (_, request) => seen.TryAdd(request.ClientRequestId, true) ? new ErrorResponse(status, code) : null };
        var storage = await StorageContainers.CreateAsync(azurite, hook);
        var upload = await storage.UploadAsync(Tied);

        var job = await storage.NewPipeline().UploadedAsync(upload.Event, Token);

        Assert.Equal(JobState.Committed, job.State);
        Assert.Equal(2 * seen.Count, hook.Count);
        await storage.ReadAllAsync("tied");
    }

    [Fact]
    public async Task TheFirstAnswerToEachKindOfRequestMayBeLost()
    {
        var seen = new ConcurrentDictionary<string, bool>();
        var hook = new RequestHook
        {
            Answered = (_, request) => seen.TryAdd($"{request.Method} {request.Uri}", true) ? throw new IOException("Connection reset.") : Task.CompletedTask,
        };
        var storage = await StorageContainers.CreateAsync(azurite, hook);
        var upload = await storage.UploadAsync(
            "model.safetensors", await Checkpoints.SafetensorsAsync(0, new("small", TensorDType.U8, [10]), new("large", TensorDType.U8, [17 << 20])));

        var job = await storage.NewPipeline().UploadedAsync(upload.Event, Token);

        Assert.Equal(JobState.Committed, job.State);
        await storage.ReadAllAsync("model");
    }

    [Fact]
    public async Task AServiceThatFailsForLongIsNamedInTheStatusAndTheNextAttemptSucceeds()
    {
        var (_, requests) = await RunUndisturbedAsync();
        for (var first = 0; first < requests; first++)
        {
            var (hook, from) = (new RequestHook(), first);
            var storage = await StorageContainers.CreateAsync(azurite, hook);
            hook.Answering = (number, request) => number >= from && !IsOf(storage.Work.Name, request) ? new ErrorResponse(503, "ServerBusy") : null;
            var upload = await storage.UploadAsync(Tied);

            var failure = await Record.ExceptionAsync(() => storage.NewPipeline(clock: new ImpatientClock()).UploadedAsync(upload.Event, Token));
            var status = await storage.NewPipeline().TryGetStatusAsync(upload.Path, upload.ETag, Token);

            if (failure is not null)
            {
                Assert.Equal(503, Assert.IsType<RequestFailedException>(failure).Status);
                Assert.Equal((JobState.Sharding, nameof(RequestFailedException)), (status!.State, status.Error!.Cause));
            }

            await AssertNothingHalfIsVisibleAsync(storage);
            var second = await storage.Plain.NewPipeline().UploadedAsync(upload.Event, Token);
            Assert.Equal((JobState.Committed, null), (second.State, second.Error));
        }
    }

    private static Func<int, Request, Task> Die(CancellationTokenSource life, int last) => async (number, _) =>
    {
        if (number >= last)
        {
            await life.CancelAsync();
        }

        life.Token.ThrowIfCancellationRequested();
    };

    private static bool IsOf(string container, Request request) => request.Uri.ToUri().AbsolutePath.Contains(container, StringComparison.Ordinal);

    // Whoever sees a tag finds its manifest, and whoever sees a manifest finds its shards.
    private static async Task AssertNothingHalfIsVisibleAsync(StorageContainers storage)
    {
        const string Manifests = "checkpoints/tied/manifests/sha256/";
        foreach (var blob in (await storage.StoredAsync(Manifests)).Keys)
        {
            await storage.ReadAllAsync($"tied@sha256:{Path.GetFileNameWithoutExtension(blob)}");
        }

        if (await storage.TagAsync("tied") is { } tag)
        {
            await storage.ReadAllAsync($"tied@{tag.Digest}");
        }
    }

    private async Task<(string Reference, int Requests)> RunUndisturbedAsync()
    {
        var hook = new RequestHook();
        var storage = await StorageContainers.CreateAsync(azurite, hook);
        var upload = await storage.UploadAsync(Tied);
        var status = await storage.NewPipeline(clock: StandingClock()).UploadedAsync(upload.Event, Token);
        return (status.Reference!, hook.Count);
    }

    // A slow machine would tell how far it is after five seconds: requests that the next run has not.
    private static FakeTimeProvider StandingClock() => new(DateTimeOffset.UtcNow);
}
