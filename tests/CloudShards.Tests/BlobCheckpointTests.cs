using Azure.Storage.Blobs;
using Azure.Storage.Sas;
using CloudShards.Formats;
using CloudShards.Testing;

namespace CloudShards.Tests;

/// <summary>A checkpoint's whole way, to a blob container and back.</summary>
public sealed class BlobCheckpointTests(AzuriteFixture azurite) : IAsyncLifetime
{
    private static readonly byte[] Medium = Bytes(3 << 20);
    private static readonly byte[] Small = Bytes(400);

    private readonly RequestRecorder _recorder = new();
    private BlobContainerClient _container = null!;

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync()
    {
        _container = await azurite.NewContainerAsync(_recorder);
        await PublishAsync();
    }

    public ValueTask DisposeAsync() => ValueTask.CompletedTask;

    [Fact]
    public async Task ATensorCostsItsOwnBytesAndTwoSmallRequests()
    {
        _recorder.Clear();
        using var native = new NativeBytes(Medium.Length);

        await using var checkpoint = await ShardedCheckpoint.OpenAsync(_container, "net", cancellationToken: Token);
        await checkpoint.ReadAsync("medium", native.Memory, Token);

        Assert.Equal(Medium, native.Memory.ToArray());
        Assert.All(_recorder.Requests, request => Assert.Equal("GET", request.Method));
        Assert.Equal(3, _recorder.Requests.Count);
        Assert.InRange(_recorder.Requests.Sum(request => request.ResponseBytes!.Value), Medium.Length, Medium.Length + 4_000);
    }

    [Fact]
    public async Task ALargeTensorIsReadInParallelRanges()
    {
        var large = Bytes((40 << 20) + 12);
        var writer = new CheckpointWriter(new BlobShardStore(_container), "large-net");
        await writer.WriteTensorAsync("large", TensorDType.U8, [large.Length], large, Token);
        var reference = await writer.PublishAsync(cancellationToken: Token);
        await using var checkpoint = await ShardedCheckpoint.OpenAsync(_container, reference.ToString(), cancellationToken: Token);
        _recorder.Clear();
        var (read, blocking) = (new byte[large.Length], new byte[large.Length]);

        await checkpoint.ReadAsync("large", read, Token);
        checkpoint.Read(checkpoint["large"], 0, blocking, Token);

        Assert.True(read.AsSpan().SequenceEqual(large));
        Assert.True(blocking.AsSpan().SequenceEqual(large));
        Assert.Equal(12, _recorder.Requests.Count);
        Assert.Equal(2 * large.Length, _recorder.Requests.Sum(request => request.ResponseBytes));
    }

    [Theory]
    [InlineData(0, 512, 0)]
    [InlineData(256 << 10, 1, 511L * 3_072)]
    public async Task ColumnsAreReadInAsFewRequestsAsTheGapsAllow(int maxGapBytes, int requests, long overRead)
    {
        var matrix = Bytes(512 * 4_096);
        var writer = new CheckpointWriter(new BlobShardStore(_container), "matrix-net");
        await writer.WriteTensorAsync("matrix", TensorDType.BF16, [512, 2_048], matrix, Token);
        await writer.PublishAsync(cancellationToken: Token);
        await using var checkpoint = await ShardedCheckpoint.OpenAsync(_container, "matrix-net", new() { MaxGapBytes = maxGapBytes }, Token);
        var plan = checkpoint.Plan(TensorSlice.Of(checkpoint["matrix"], [Range.All, 1_024..1_536]));
        _recorder.Clear();
        using var native = new NativeBytes(512 * 1_024);

        await checkpoint.ReadSliceAsync("matrix", [Range.All, 1_024..1_536], native.Memory, Token);

        Assert.True(native.Memory.Span.SequenceEqual(matrix.Chunk(4_096).SelectMany(row => row[2_048..3_072]).ToArray()));
        Assert.Equal(new ReadPlan(requests, (512 * 1_024) + overRead, overRead), plan);
        Assert.Equal((plan.Requests, plan.Bytes), (_recorder.Requests.Count, _recorder.Requests.Sum(request => request.ResponseBytes!.Value)));
    }

    [Fact]
    public async Task ReadingNeedsNoMoreThanReadPermission()
    {
        var sas = _container.GenerateSasUri(BlobContainerSasPermissions.Read, DateTimeOffset.UtcNow.AddHours(1));
        var options = new BlobClientOptions(BlobClientOptions.ServiceVersion.V2025_11_05);
        options.AddPolicy(_recorder, Azure.Core.HttpPipelinePosition.PerRetry);
        _recorder.Clear();

        await using var checkpoint = await ShardedCheckpoint.OpenAsync(new(sas, options), "net", cancellationToken: Token);
        var read = new byte[400];
        await checkpoint.ReadSliceAsync("small", [25..75], read.AsMemory(0, 200), Token);

        Assert.Equal(Small[100..300], read[..200]);
        Assert.All(_recorder.Requests, request => Assert.Equal(("GET", null), (request.Method, request.Component)));
    }

    [Fact]
    public async Task PublishingTheSameTensorsAgainSendsNoneButSmallOnes()
    {
        _recorder.Clear();

        await PublishAsync();

        var sent = _recorder.Requests.Where(request => request.BodyBytes > 0).ToList();
        var shards = sent.Where(request => request.Blob.StartsWith("tensors/", StringComparison.Ordinal));
        Assert.Equal([StoreLayout.Shard(Digest.Of(Small))], shards.Select(request => request.Blob));
        Assert.All(sent, request => Assert.Equal(request.Blob == StoreLayout.Tag("net", "latest") ? 201 : 409, request.Status));
    }

    [Fact]
    public async Task AMissingContainerIsNamed()
    {
        var missing = azurite.Blobs.GetBlobContainerClient("missing");

        var byTag = await Assert.ThrowsAsync<CheckpointNotFoundException>(() => ShardedCheckpoint.OpenAsync(missing, "net", cancellationToken: Token));
        var byDigest = await Assert.ThrowsAsync<CheckpointNotFoundException>(
            () => ShardedCheckpoint.OpenAsync(missing, $"net@{Digest.Of([])}", cancellationToken: Token));
        var resolved = await Assert.ThrowsAsync<CheckpointNotFoundException>(
            () => ShardedCheckpoint.ResolveAsync(new BlobShardStore(missing), "net", Token));

        Assert.All([byTag, byDigest, resolved], e => Assert.Contains("the container `missing` does not exist", e.Message, StringComparison.Ordinal));
    }

    private static byte[] Bytes(int length)
    {
        var bytes = new byte[length];
        new Random(length).NextBytes(bytes);
        return bytes;
    }

    private async Task PublishAsync()
    {
        var writer = new CheckpointWriter(new BlobShardStore(_container), "net");
        await writer.WriteTensorAsync("medium", TensorDType.U8, [Medium.Length], Medium, Token);
        await writer.WriteTensorAsync("small", TensorDType.F32, [100], Small, Token);
        await writer.PublishAsync(cancellationToken: Token);
    }
}
