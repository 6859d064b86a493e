using CloudShards.Formats;
using Microsoft.Extensions.Time.Testing;

namespace CloudShards.Sharding.Tests;

public sealed class CheckpointCommitTests : IDisposable
{
    private static readonly DateTimeOffset Noon = new(2026, 11, 23, 12, 0, 0, TimeSpan.Zero);

    // Two batches: the file has b, then a with which `tied` shares its bytes, then c.
    private static readonly PlannedCheckpoint Planned = Descriptions.Plan(
        [
            Descriptions.Tensor("a", 100, [2, 3]),
            Descriptions.Tensor("b", 0, [5]),
            Descriptions.Tensor("tied", 100, [2, 3]),
            Descriptions.Tensor("c", 200, []),
        ],
        new() { MaxBatchShards = 2, MaxPackedBytes = 0 });

    private readonly TemporaryFolder _folder = new();
    private readonly StoreWatch _shards;
    private readonly CheckpointTags _tags;
    private readonly CheckpointCommit _commit;

    public CheckpointCommitTests()
    {
        _shards = new(new DirectoryShardStore(_folder.Path));
        _tags = new(_shards, new FakeTimeProvider(Noon));
        _commit = new(_shards, _tags);
    }

    private static ValueTask Agreed(CancellationToken cancellationToken) => ValueTask.CompletedTask;

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    private static CheckpointReference Latest => CheckpointReference.Parse("model");

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void TheManifestHasTheTensorsInTheCheckpointsOrder()
    {
        var manifest = ManifestComposition.Compose(Planned.Plan, Planned.Tensors, [Receipt(0, "b", "a"), Receipt(1, "c")]);

        Assert.Equal(["a", "b", "tied", "c"], manifest.Tensors.Select(tensor => tensor.Name));
        Assert.Equal([Of("a"), Of("b"), Of("a"), Of("c")], manifest.Tensors.Select(tensor => tensor.Digest));
        Assert.Equal([24L, 20, 24, 4], manifest.Tensors.Select(tensor => tensor.Bytes));
        Assert.Equal([[1UL], [2UL], [1UL], [3UL]], manifest.Tensors.Select(tensor => tensor.Chunks.AsEnumerable()));
        Assert.Equal("model", manifest.Name);
        Assert.Equal([new("model.safetensors", 1 << 20, "safetensors")], manifest.Source);
        Assert.Equal(Planned.Plan.Bounds.ChunkBytes, manifest.ChunkBytes);
    }

    [Fact]
    public void TheManifestIsTheSameWhicheverReceiptCameFirst()
    {
        var (first, second) = (Receipt(0, "b", "a"), Receipt(1, "c"));

        Assert.Equal(
            ManifestComposition.Compose(Planned.Plan, Planned.Tensors, [first, second]).ToUtf8().ToArray(),
            ManifestComposition.Compose(Planned.Plan, Planned.Tensors, [second, first]).ToUtf8().ToArray());
    }

    [Fact]
    public void ItDoesNotMatterWhoWroteAShard()
    {
        var again = Receipt(0, "b", "a") with { Shards = [.. Receipt(0, "b", "a").Shards.Select(shard => shard with { Created = false })] };

        Assert.Equal(
            ManifestComposition.Compose(Planned.Plan, Planned.Tensors, [Receipt(0, "b", "a"), Receipt(1, "c")]).ToUtf8().ToArray(),
            ManifestComposition.Compose(Planned.Plan, Planned.Tensors, [again, Receipt(1, "c")]).ToUtf8().ToArray());
    }

    [Theory]
    [InlineData("b,a")]
    [InlineData("b,a", "c,c")]
    [InlineData("b", "a,c")]
    [InlineData]
    public void TooFewOrTooManyShardsAreNoManifest(params string[] batches)
    {
        var receipts = batches.Select((shards, number) => Receipt(number, shards.Split(',')));

        var exception = Assert.Throws<InvalidDataException>(() => ManifestComposition.Compose(Planned.Plan, Planned.Tensors, receipts));
        Assert.Contains("the plan has ", exception.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void APackNamesEveryTensorAtThePlaceOfItsShard()
    {
        // The last is the first in the file, and its batch comes before that of the others.
        var planned = Descriptions.Plan(
            [
                Descriptions.Tensor("a", 100, [2, 3]),
                Descriptions.Tensor("b", 80, [5]),
                Descriptions.Tensor("tied", 100, [2, 3]),
                Descriptions.Tensor("c", 99_000, []),
                Descriptions.Tensor("large", 0, [20_000]),
            ],
            new() { MaxBatchShards = 1 });

        var manifest = ManifestComposition.Compose(
            planned.Plan, planned.Tensors, [Receipt(1, "b", "a", "c") with { Packs = [new(Of("p"), new(0, 3))] }, Receipt(0, "l")]);

        var pack = Assert.Single(manifest.Packs);
        Assert.Equal((Of("p"), 48L), (pack.Digest, pack.Bytes));
        Assert.Equal([new("b", 0), new("a", 20), new("tied", 20), new("c", 44)], pack.Tensors);
        Assert.Equal([Of("a"), Of("b"), Of("a"), Of("c"), Of("l")], manifest.Tensors.Select(tensor => tensor.Digest));
    }

    [Fact]
    public async Task TheManifestIsWrittenBeforeTheTag()
    {
        var source = new SourceOf(default, Noon);

        var reference = await _commit.PublishAsync(Manifest(), [source], Agreed, Token);

        Assert.Equal(
            ["create " + StoreLayout.Manifest("model", reference.Digest!.Value), "replace " + StoreLayout.Tag("model", "latest")],
            _shards.Writes);
        var tag = await _tags.TryReadAsync(Latest, Token);
        Assert.Equal((reference.Digest.Value, Noon), (tag!.Digest, tag.MovedAt));
        Assert.Equal([new TagSource(source.Path, source.ETag, source.UploadedAt)], tag.Source);
    }

    [Fact]
    public async Task PublishingAgainWritesNothing()
    {
        var source = new SourceOf(default, Noon);
        var reference = await _commit.PublishAsync(Manifest(), [source], Agreed, Token);
        var before = Directory.GetFiles(_folder.Path, "*", SearchOption.AllDirectories);

        Assert.Equal(reference, await _commit.PublishAsync(Manifest(), [source], Agreed, Token));

        Assert.Equal(before, Directory.GetFiles(_folder.Path, "*", SearchOption.AllDirectories));
        Assert.Single(_shards.Writes, write => write.StartsWith("replace", StringComparison.Ordinal));
    }

    [Fact]
    public async Task AnOlderUploadThatFinishesLateDoesNotMoveTheTag()
    {
        var newer = await _commit.PublishAsync(Manifest(), [new SourceOf(default, Noon)], Agreed, Token);

        var older = await _commit.PublishAsync(Manifest() with { ChunkBytes = 1 << 20 }, [new SourceOf(default, Noon.AddSeconds(-1))], Agreed, Token);

        Assert.NotEqual(newer, older);
        Assert.Equal(newer.Digest, (await _tags.TryReadAsync(Latest, Token))!.Digest);
        Assert.NotNull(await _shards.TryFindAsync(StoreLayout.Manifest("model", older.Digest!.Value), Token));
    }

    [Fact]
    public async Task AnUploadThatWasOverwrittenMeanwhileDoesNotMoveTheTag()
    {
        var source = new SourceOf(default, Noon) { IsChanged = true };

        await Assert.ThrowsAsync<SourceChangedException>(() => _commit.PublishAsync(Manifest(), [source], Agreed, Token));

        Assert.Null(await _tags.TryReadAsync(Latest, Token));
    }

    private static ShardManifest Manifest() => ManifestComposition.Compose(Planned.Plan, Planned.Tensors, [Receipt(0, "b", "a"), Receipt(1, "c")]);

    private static ShardReceipt Receipt(int batch, params string[] shards) =>
        new(batch, [.. shards.Select(shard => new ReceiptShard(Of(shard), [(ulong)(shard[0] - 'a' + 1)], Created: true))], []);

    private static Digest Of(string shard) => Digest.Of([(byte)shard[0]]);
}
