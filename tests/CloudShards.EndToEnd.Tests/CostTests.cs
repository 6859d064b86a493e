using CloudShards.Formats;
using CloudShards.Testing;

namespace CloudShards.EndToEnd.Tests;

/// <summary>What reading and writing cost: requests and bytes, which are what the service bills and what takes time.</summary>
public sealed class CostTests(AzuriteFixture azurite)
{
    private const string Wanted = "layers.3.weight";

    private static readonly SyntheticTensor[] Tensors =
    [
        .. Enumerable.Range(0, 10).Select(i => new SyntheticTensor($"layers.{i}.weight", TensorDType.F32, [i + 1, 256])),
    ];

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task OneTensorByTagCostsTwoSmallReadsAndItsOwnBytes()
    {
        var (storage, requests, reference) = await ShardAsync();

        await using var checkpoint = await ShardedCheckpoint.OpenAsync(storage.Shards, "model", cancellationToken: Token);
        await checkpoint.ReadAsync(Wanted, new byte[checkpoint[Wanted].Bytes], Token);

        Assert.Equal(
            [
                ("GET", StoreLayout.Tag("model", "latest"), null, 200),
                ("GET", StoreLayout.Manifest("model", checkpoint.Reference.Digest!.Value), null, 200),
                ("GET", StoreLayout.Shard(checkpoint[Wanted].Digest), "bytes=0-4095", 206),
            ],
            requests.Requests.Select(request => (request.Method, request.Blob, request.Range, request.Status ?? 0)));
        Assert.Equal(4096, requests.Requests[2].ResponseBytes);
        Assert.Equal(checkpoint.Manifest.ToUtf8().Length, requests.Requests[1].ResponseBytes);
        Assert.Equal(reference, checkpoint.Reference.ToString());
    }

    [Fact]
    public async Task OneTensorByDigestSavesTheTag()
    {
        var (storage, requests, reference) = await ShardAsync();

        await using var checkpoint = await ShardedCheckpoint.OpenAsync(storage.Shards, reference, cancellationToken: Token);
        await checkpoint.ReadAsync(Wanted, new byte[checkpoint[Wanted].Bytes], Token);

        Assert.Equal(2, requests.Requests.Count);
    }

    [Fact]
    public async Task SomeRowsCostTheirOwnBytes()
    {
        var (storage, requests, reference) = await ShardAsync();
        await using var checkpoint = await ShardedCheckpoint.OpenAsync(storage.Shards, reference, cancellationToken: Token);
        requests.Clear();

        await checkpoint.ReadSliceAsync(Wanted, [1..3], new byte[2048], Token);

        Assert.Equal(("bytes=1024-3071", 2048), (Assert.Single(requests.Requests).Range, requests.Requests[0].ResponseBytes));
    }

    [Fact]
    public async Task SmallTensorsCostOneReadTogetherAndOneWriteEach()
    {
        var requests = new RequestRecorder();
        var storage = await StorageContainers.CreateAsync(azurite, requests);
        var upload = await storage.UploadAsync("model.safetensors", await Checkpoints.SafetensorsAsync(0, Tensors));

        await storage.NewPipeline().UploadedAsync(upload.Event, Token);

        // The file: its properties, what lies beside it, its header, all tensors, and at the end whether it still is the same.
        Assert.Equal(["HEAD", "GET", "GET", "GET", "HEAD"], Of(storage.Uploads.Name).Select(request => request.Method));
        Assert.Equal("list", Of(storage.Uploads.Name)[1].Component);
        Assert.Equal(Tensors.Sum(tensor => tensor.Bytes), Of(storage.Uploads.Name)[3].ResponseBytes);

        // The store: each shard, their pack, the manifest, and the tag, which is read first.
        Assert.Equal(
            [.. Enumerable.Repeat("PUT", Tensors.Length), "PUT", "PUT", "HEAD", "GET", "PUT"],
            Of(storage.Shards.Name).Select(request => request.Method));

        Assert.StartsWith("packs/", Of(storage.Shards.Name)[Tensors.Length].Blob, StringComparison.Ordinal);

        // The status: begun, planned, whether it still goes on, committed.
        Assert.Equal(
            ["GET", "PUT", "GET", "PUT", "GET", "GET", "PUT"],
            Of(storage.Work.Name).Select(request => request.Method));
        Assert.All(requests.Requests.Where(request => request.Method == "PUT"), put => Assert.True(put.IfNoneMatch == "*" || put.IfMatch is not null));

        RecordedRequest[] Of(string container) =>
            [.. requests.Requests.Where(request => request.Path.Contains(container, StringComparison.Ordinal))];
    }

    private async Task<(StorageContainers Storage, RequestRecorder Requests, string Reference)> ShardAsync()
    {
        var requests = new RequestRecorder();
        var storage = await StorageContainers.CreateAsync(azurite, requests);
        var upload = await storage.UploadAsync("model.safetensors", await Checkpoints.SafetensorsAsync(0, Tensors));
        var status = await storage.NewPipeline().UploadedAsync(upload.Event, Token);
        requests.Clear();
        return (storage, requests, status.Reference!);
    }
}
