using CloudShards.Formats;
using CloudShards.Sharding;
using CloudShards.Testing;

namespace CloudShards.EndToEnd.Tests;

/// <summary>Packs, from an upload to a reader of the whole checkpoint.</summary>
public sealed class PackTests(AzuriteFixture azurite)
{
    private static readonly SyntheticTensor[] Tensors =
    [
        .. Enumerable.Range(0, 150).Select(i => new SyntheticTensor($"layers.{i}.bias", TensorDType.F32, [i + 1, 16])),
        new("embedding", TensorDType.F32, [1 << 18]),
        .. Enumerable.Range(0, 10).Select(i => new SyntheticTensor($"norm.{i}", TensorDType.F32, [16_384])),
    ];

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData(8 << 20)]
    [InlineData(300_000)]
    public async Task EverythingIsReadInAsManyRequestsAsThePlanSays(int maxRequestBytes)
    {
        var requests = new RequestRecorder();
        var storage = await StorageContainers.CreateAsync(azurite, requests);
        var upload = await storage.UploadAsync("model.safetensors", await Checkpoints.SafetensorsAsync(0, Tensors));
        var status = await storage.NewPipeline(new() { ChunkBytes = 100_000 }).UploadedAsync(upload.Event, Token);
        await using var checkpoint = await ShardedCheckpoint.OpenAsync(storage.Shards, status.Reference!, new() { MaxRequestBytes = maxRequestBytes }, Token);
        var plan = checkpoint.Plan(checkpoint.Tensors.Select(tensor => TensorSlice.Of(tensor, [])));
        var reads = checkpoint.Tensors.Select(tensor => ShardRead.Whole(tensor, new byte[tensor.Bytes])).ToList();
        requests.Clear();

        await checkpoint.ReadAllAsync(reads, cancellationToken: Token);

        Assert.All(reads, read => Assert.Equal(read.Tensor.Digest, Digest.Of(read.Destination.Span)));
        Assert.Equal((plan.Requests, plan.Bytes), (requests.Requests.Count, requests.Requests.Sum(request => request.ResponseBytes!.Value)));
        Assert.InRange(plan.Requests, 2, 12);
        Assert.Equal(0, plan.OverReadBytes);
        var pack = Assert.Single(checkpoint.Manifest.Packs);
        Assert.Equal(160, pack.Tensors.Length);
        Assert.Contains(StoreLayout.Pack(pack.Digest), requests.Requests.Select(request => request.Blob));
        Assert.All(requests.Requests, request => Assert.InRange(request.ResponseBytes!.Value, 1, maxRequestBytes));
    }

    [Fact]
    public async Task ManyWorkersMakeThePacksThatOneWorkerMakes()
    {
        var (storage, alone) = (await StorageContainers.CreateAsync(azurite), await StorageContainers.CreateAsync(azurite));
        var queue = await BatchQueue.CreateAsync(azurite);
        var (options, file) = (new ShardingOptions { MaxBatchShards = 20, MaxPackedBytes = 4096 }, await Checkpoints.SafetensorsAsync(0, Tensors));
        var expected = await alone.NewPipeline(options with { MaxBatchShards = 4096 }).UploadedAsync((await alone.UploadAsync("model.safetensors", file)).Event, Token);
        var upload = await storage.UploadAsync("model.safetensors", file);

        await storage.NewPipeline(options, queue.Client).UploadedAsync(upload.Event, Token);
        await queue.WorkOffAsync([.. Enumerable.Range(0, 3).Select(_ => storage.NewPipeline(options, queue.Client))]);

        var status = (await storage.NewPipeline().TryGetStatusAsync(upload.Path, upload.ETag, Token))!;
        Assert.Equal((JobState.Committed, expected.Reference), (status.State, status.Reference));
        var manifest = await storage.ReadAllAsync("model");
        Assert.Equal(64, Assert.Single(manifest.Packs).Tensors.Length);
        Assert.Equal(CorpusAssert.PacksOf(manifest), (await storage.StoredAsync("packs/")).Keys);
    }

    [Fact]
    public async Task ASecondUploadOfTheSameFileChangesNoPack()
    {
        var storage = await StorageContainers.CreateAsync(azurite);
        var file = await Checkpoints.SafetensorsAsync(0, Tensors);
        await storage.NewPipeline().UploadedAsync((await storage.UploadAsync("model.safetensors", file)).Event, Token);
        var packs = await storage.StoredAsync("packs/");

        await storage.NewPipeline().UploadedAsync((await storage.UploadAsync("model.safetensors", file)).Event, Token);

        Assert.Single(packs);
        Assert.Equal(packs, await storage.StoredAsync("packs/"));
    }
}
