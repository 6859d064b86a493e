using CloudShards.Formats;
using CloudShards.Sharding;
using CloudShards.Testing;

namespace CloudShards.EndToEnd.Tests;

/// <summary>A service of which every twentieth request fails.</summary>
public sealed class UnreliableServerTests(AzuriteFixture azurite)
{
    private const double Share = 0.05;
    private static readonly ShardingOptions Options = new() { MaxBatchShards = 8, MaxPackedBytes = 0 };

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public async Task ACheckpointIsShardedAsByAReliableOne(int seed)
    {
        var quiet = await StorageContainers.CreateAsync(azurite);
        var expected = await quiet.NewPipeline(Options).UploadedAsync((await quiet.UploadAsync("model.safetensors", await FileAsync())).Event, Token);
        var server = new UnreliableServer(seed, Share);
        var storage = await StorageContainers.CreateAsync(azurite, server);
        var queue = await BatchQueue.CreateAsync(azurite);
        var upload = await storage.UploadAsync("model.safetensors", await FileAsync());

        var worker = storage.NewPipeline(Options, queue.Client);
        await worker.UploadedAsync(upload.Event, Token);
        await queue.WorkOffAsync(worker, worker);

        var status = (await storage.Plain.NewPipeline().TryGetStatusAsync(upload.Path, upload.ETag, Token))!;
        Assert.Equal((JobState.Committed, expected.Reference), (status.State, status.Reference));
        Assert.InRange(server.Failures, 3, 1000);
        await storage.Plain.ReadAllAsync("model");
    }

    [Fact]
    public async Task AServiceThatIsAskedTooMuchIsAskedLessAndNothingFails()
    {
        // For a while it takes one request in three.
        var (asked, turnedAway) = (0, 0);
        var hook = new RequestHook
        {
            Answering = (_, request) =>
            {
                var isShard = request.Method == Azure.Core.RequestMethod.Put && request.Uri.Path.Contains("tensors", StringComparison.Ordinal);
                var isBusy = isShard && Interlocked.Increment(ref asked) is < 60 and var number && number % 3 != 0;
                turnedAway += isBusy ? 1 : 0;
                return isBusy ? new ErrorResponse(503, "ServerBusy") : null;
            },
        };
        var storage = await StorageContainers.CreateAsync(azurite, hook);
        var upload = await storage.UploadAsync("model.safetensors", await FileAsync());

        var status = await storage.NewPipeline().UploadedAsync(upload.Event, Token);

        Assert.Equal(JobState.Committed, status.State);
        Assert.InRange(turnedAway, 30, 40);
        await storage.Plain.ReadAllAsync("model");
    }

    private static Task<BinaryData> FileAsync() => Checkpoints.SafetensorsAsync(
        0,
        [
            .. Enumerable.Range(0, 40).Select(i => new SyntheticTensor($"t{i}", TensorDType.F32, [i + 1, 300])),
            new("large", TensorDType.U8, [17 << 20]),
            new("copied", TensorDType.U8, [33 << 20]),
        ]);
}
