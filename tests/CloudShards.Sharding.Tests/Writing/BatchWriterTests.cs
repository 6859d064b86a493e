using System.Collections.Immutable;
using CloudShards.Formats;

namespace CloudShards.Sharding.Tests.Writing;

public sealed class BatchWriterTests : IDisposable
{
    private static readonly DateTimeOffset Noon = new(2026, 11, 23, 12, 0, 0, TimeSpan.Zero);
    private static readonly ShardingOptions NoPacks = new() { MaxPackedBytes = 0 };
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    private readonly TemporaryFolder _folder = new();
    private readonly StoreWatch _store;

    public BatchWriterTests() => _store = new(new DirectoryShardStore(_folder.Path));

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public void Dispose() => _folder.Dispose();

    [Fact]
    public async Task SmallNeighboursAreReadInOneRequest()
    {
        var source = Source(1 << 20);
        var tensors = Tensors((0, 10), (10, 100), (50_000, 4), (60_000, 0), (900_000, 100), (900_100, 100));

        var manifest = await ShardingRun.RunAsync(source, Descriptions.Of(tensors), _store, Token, NoPacks);

        Assert.Equal([new ByteRange(0, 60_000), new ByteRange(900_000, 200)], source.Reads.OrderBy(range => range.Offset));
        ShardingRun.AssertStored(manifest, _folder.Path);
    }

    [Fact]
    public async Task AnEmptyTensorFarFromAllOthersIsNotReadAtAll()
    {
        var source = Source(1 << 20);

        var manifest = await ShardingRun.RunAsync(source, Descriptions.Of(Tensors((0, 10), (1 << 20, 0))), _store, Token);

        Assert.Equal([0, 10], source.Reads.Select(range => range.Length).Order());
        Assert.Equal(Digest.Of([]), manifest.Tensors[1].Digest);
        Assert.Empty(manifest.Tensors[1].Chunks);
        ShardingRun.AssertStored(manifest, _folder.Path);
    }

    [Fact]
    public async Task EqualBytesInSeveralPlacesAreWrittenOnce()
    {
        var source = new SourceOf(new byte[1 << 20], Noon);

        var manifest = await ShardingRun.RunAsync(source, Descriptions.Of(Tensors((0, 100), (200, 100), (900_000, 100))), _store, Token);

        Assert.Single(manifest.Tensors.Select(tensor => tensor.Digest).Distinct());
        Assert.Single(Directory.GetFiles(Path.Combine(_folder.Path, "tensors"), "*", SearchOption.AllDirectories));
    }

    [Fact]
    public async Task AReceiptSaysWhatTheBatchItselfWrote()
    {
        var source = Source(1 << 20);
        var plan = Descriptions.Plan(Tensors((0, 100), (100, 100), (200, 100)), new() { MaxBatchShards = 2, MaxPackedBytes = 0 });
        var batches = new BatchWriter([source], ShardingRun.Writer(_store), null, new(1, TimeProvider.System), 1);

        var first = await batches.WriteAsync(plan.Batches[1], null, Token);
        var again = await batches.WriteAsync(plan.Batches[1], null, Token);

        Assert.Equal(1, first.Batch);
        Assert.Equal([true], first.Shards.Select(shard => shard.Created));
        Assert.Equal([false], again.Shards.Select(shard => shard.Created));
        Assert.Equal(first.Shards[0].Digest, again.Shards[0].Digest);
    }

    [Fact]
    public async Task ALargeShardThatIsThereIsNotSentAgain()
    {
        var source = Source(40 << 20);
        var tensors = Descriptions.Of(Tensors((0, 20 << 20), (20 << 20, 5 << 20), (25 << 20, 3 << 20)));
        await ShardingRun.RunAsync(source, tensors, _store, Token);
        Assert.Equal(3, _store.Writes.Count);

        await ShardingRun.RunAsync(source, tensors, _store, Token);

        Assert.Equal(3, _store.Writes.Count);
    }

    [Fact]
    public async Task ProgressIsToldOfEveryShard()
    {
        var progress = new JobStatusProgress("model", 3, 300);
        var plan = Descriptions.Plan(Tensors((0, 100), (100, 100), (200, 100)));
        var status = new JobStatus { Job = "job", State = JobState.Sharding, Path = "", ETag = "", StartedAt = Noon, UpdatedAt = Noon };

        Assert.Equal((new(0, 3), new(0, 300)), (progress.Apply(status).Shards, progress.Apply(status).Bytes));
        await new BatchWriter([Source(1 << 20)], ShardingRun.Writer(_store), null, new(1, TimeProvider.System), 1).WriteAsync(plan.Batches[0], progress, Token);

        var after = progress.Apply(status);
        Assert.Equal(("model", new(3, 3), new(300, 300), 3), (after.Name, after.Shards, after.Bytes, after.ShardsCreated));
    }

    [Theory]
    [InlineData(100)]
    [InlineData(70_000)]
    [InlineData(5 << 20)]
    [InlineData(40 << 20)]
    public async Task AnOverwrittenSourceEndsTheBatch(int bytes)
    {
        var source = Source(40 << 20);
        source.Reading = range => source.IsChanged = range.Offset > 0 || bytes <= 5 << 20;

        await Assert.ThrowsAsync<SourceChangedException>(
            () => ShardingRun.RunAsync(source, Descriptions.Of(Tensors((0, bytes))), _store, Token));

        Assert.Empty(_store.Writes);
    }

    [Fact]
    public async Task ASourceThatChangesUnseenBetweenHashingAndSendingIsNotStored()
    {
        var content = new byte[40 << 20];
        var reads = 0;
        var source = new SourceOf(content, Noon) { Reading = _ => content[^1] = (byte)(Interlocked.Increment(ref reads) > 5 ? 1 : 0) };

        await Assert.ThrowsAsync<InvalidDataException>(
            () => ShardingRun.RunAsync(source, Descriptions.Of(Tensors((0, content.Length))), _store, Token, new() { MemoryBudgetBytes = 20 << 20 }));

        Assert.False(Directory.Exists(Path.Combine(_folder.Path, "tensors", "sha256")) && Directory.GetFiles(_folder.Path, "*", SearchOption.AllDirectories).Any(file => !file.EndsWith(".lock", StringComparison.Ordinal)));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(100)]
    public async Task SmallShardsAreWrittenSeveralAtOnce(int packedBytes)
    {
        var options = new ShardingOptions { MaxPackedBytes = packedBytes };
        var writing = 0;
        var both = new TaskCompletionSource();
        _store.Writing = async _ =>
        {
            if (Interlocked.Increment(ref writing) == 2)
            {
                both.SetResult();
            }

            await both.Task.WaitAsync(Patience, Token);
        };

        await ShardingRun.RunAsync(Source(1 << 20), Descriptions.Of(Tensors((0, 100), (100, 100))), _store, Token, options);
    }

    [Fact]
    public async Task ACancelledBatchEnds()
    {
        using var cancelled = new CancellationTokenSource();
        _store.Writing = _ => cancelled.CancelAsync();

        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => ShardingRun.RunAsync(
            Source(40 << 20), Descriptions.Of(Tensors((0, 5 << 20), (5 << 20, 5 << 20), (10 << 20, 30 << 20))), _store, cancelled.Token));
    }

    private static SourceOf Source(int length)
    {
        var content = new byte[length];
        new Random(1).NextBytes(content);
        return new(content, Noon);
    }

    private static ImmutableArray<TensorInfo> Tensors(params (long Offset, long Bytes)[] ranges) =>
        [.. ranges.Select((range, i) => Descriptions.Tensor($"t{i}", range.Offset, [range.Bytes], TensorDType.U8))];
}
