using CloudShards.Formats;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;

namespace CloudShards.Sharding.Tests;

public sealed class ShardGarbageTests : IDisposable
{
    private static readonly TimeSpan Week = TimeSpan.FromDays(7);
    private static readonly byte[] Kept = [1, 2, 3];
    private static readonly byte[] Orphan = [4, 5, 6, 7];

    private readonly TemporaryFolder _folder = new();
    private readonly StoreWatch _store;
    private readonly FakeTimeProvider _clock = new(DateTimeOffset.UtcNow);

    public ShardGarbageTests() => _store = new(new DirectoryShardStore(_folder.Path));

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public void Dispose() => _folder.Dispose();

    [Fact]
    public async Task OldShardsThatNoManifestNamesAreSwept()
    {
        await PublishAsync("model", Kept);
        await AbandonAsync(Orphan);
        Age(Week);

        Assert.Equal(new GarbageReport(2, 1, Orphan.Length), await CollectAsync());

        Assert.True(Exists(Kept));
        Assert.False(Exists(Orphan));
        Assert.Equal(new GarbageReport(1, 0, 0), await CollectAsync());
    }

    [Fact]
    public async Task ATrialDeletesNothing()
    {
        await AbandonAsync(Orphan);
        Age(Week);

        Assert.Equal(new GarbageReport(1, 1, Orphan.Length), await Garbage().CollectAsync(Week, isTrial: true, Token));

        Assert.True(Exists(Orphan));
    }

    [Fact]
    public async Task YoungShardsStay()
    {
        await AbandonAsync(Orphan);
        Age(Week - TimeSpan.FromHours(1));

        Assert.Equal(0, (await CollectAsync()).Shards);
        Assert.True(Exists(Orphan));
    }

    [Fact]
    public async Task AnyManifestKeepsItsShardsTaggedOrNot()
    {
        await PublishAsync("model", Kept);
        await PublishAsync("model", Orphan);
        Age(Week);

        Assert.Equal(new GarbageReport(2, 0, 0), await CollectAsync());
    }

    [Fact]
    public async Task PacksAreSweptLikeShards()
    {
        await _store.TryCreateAsync(StoreLayout.Pack(Digest.Of(Orphan)), Orphan, Token);
        Age(Week);

        Assert.Equal(new GarbageReport(1, 1, Orphan.Length), await CollectAsync());
    }

    [Fact]
    public async Task PacksThatAManifestNamesStay()
    {
        var manifest = await ShardingRun.RunAsync(
            new SourceOf(new byte[] { 1, 2, 3, 4 }, default),
            Descriptions.Of([Descriptions.Tensor("a", 0, [1], TensorDType.U8), Descriptions.Tensor("b", 1, [2], TensorDType.U8)]),
            _store,
            Token);
        await ManifestWriter.WriteAsync(_store, manifest, Token);
        await new ShardWriter(_store, new()).WritePackAsync(Orphan, Token);
        Age(Week);

        Assert.Equal(new GarbageReport(4, 1, Orphan.Length), await CollectAsync());

        Assert.NotNull(await _store.TryFindAsync(StoreLayout.Pack(Assert.Single(manifest.Packs).Digest), Token));
        Assert.Null(await _store.TryFindAsync(StoreLayout.Pack(Digest.Of(Orphan)), Token));
    }

    [Fact]
    public async Task AnOldPackThatAWriterReusesIsRenewed()
    {
        var writer = new ShardWriter(_store, new());
        await writer.WritePackAsync(Orphan, Token);
        Age(Week);

        await writer.WritePackAsync(Orphan, Token);

        Assert.Contains("renew " + StoreLayout.Pack(Digest.Of(Orphan)), _store.Writes);
        Assert.Equal(new GarbageReport(1, 0, 0), await CollectAsync());
    }

    [Fact]
    public async Task AManifestThatCannotBeReadStopsTheSweep()
    {
        await AbandonAsync(Orphan);
        await _store.TryCreateAsync(StoreLayout.Manifest("model", Digest.Of(Kept)), "{}"u8.ToArray(), Token);
        Age(Week);

        await Assert.ThrowsAsync<CheckpointFormatException>(CollectAsync);

        Assert.True(Exists(Orphan));
    }

    [Fact]
    public async Task AGraceThatIsTooShortForWritersIsRefused() =>
        await Assert.ThrowsAsync<ArgumentOutOfRangeException>(() => Garbage().CollectAsync(TimeSpan.FromHours(47), cancellationToken: Token));

    [Fact]
    public async Task WhatAWriterReusesAtAnyMomentOfTheCollectionStays()
    {
        // The collection asks the store a handful of times; at each of these a writer finds the orphan and publishes it.
        for (var at = 0; at < 8; at++)
        {
            using var folder = new TemporaryFolder();
            var watch = new StoreWatch(new DirectoryShardStore(folder.Path));
            await new ShardWriter(watch, new()).WriteAsync(Orphan, Token);
            Age(folder.Path, Week);
            var (asked, moment) = (0, at);
            watch.Asking = async _ =>
            {
                if (asked++ == moment)
                {
                    await PublishAsync(new DirectoryShardStore(folder.Path), "model", Orphan);
                }
            };

            await new ShardGarbage(watch, _clock, NullLogger<ShardGarbage>.Instance).CollectAsync(Week, cancellationToken: Token);

            await AssertAllThereAsync(new DirectoryShardStore(folder.Path), isPublished: moment < asked);
        }
    }

    [Fact]
    public async Task ACollectionAtAnyMomentOfAWriteTakesNothingThatIsPublished()
    {
        for (var at = 0; at < 12; at++)
        {
            using var folder = new TemporaryFolder();
            var store = new DirectoryShardStore(folder.Path);
            await new ShardWriter(store, new()).WriteAsync(Orphan, Token);
            Age(folder.Path, Week);
            var (asked, moment) = (0, at);
            var watch = new StoreWatch(store);
            watch.Asking = async _ =>
            {
                if (asked++ == moment)
                {
                    await new ShardGarbage(store, _clock, NullLogger<ShardGarbage>.Instance).CollectAsync(Week, cancellationToken: Token);
                }
            };

            await PublishAsync(watch, "model", Orphan);

            await AssertAllThereAsync(store, isPublished: true);
        }
    }

    private static async Task AssertAllThereAsync(DirectoryShardStore store, bool isPublished)
    {
        var manifests = await store.ListAsync("checkpoints/", Token).Where(blob => blob.Name.Contains("/manifests/", StringComparison.Ordinal)).ToArrayAsync(Token);
        Assert.Equal(isPublished ? 1 : 0, manifests.Length);
        foreach (var manifest in manifests)
        {
            var document = await store.TryReadDocumentAsync(manifest.Name, 1 << 20, Token);
            foreach (var tensor in ShardManifest.Parse(document!.Content.Span).Tensors)
            {
                Assert.NotNull(await store.TryFindAsync(StoreLayout.Shard(tensor.Digest), Token));
            }
        }
    }

    private Task<CheckpointReference> PublishAsync(string name, byte[] content) => PublishAsync(_store, name, content);

    private static async Task<CheckpointReference> PublishAsync(IShardStore store, string name, byte[] content)
    {
        var writer = new CheckpointWriter(store, name);
        await writer.WriteTensorAsync("t", TensorDType.U8, [content.Length], content, Token);
        return await writer.PublishAsync(cancellationToken: Token);
    }

    private Task<WrittenShard> AbandonAsync(byte[] content) => new ShardWriter(_store, new()).WriteAsync(content, Token);

    private ShardGarbage Garbage() => new(_store, _clock, NullLogger<ShardGarbage>.Instance);

    private Task<GarbageReport> CollectAsync() => Garbage().CollectAsync(Week, cancellationToken: Token);

    private bool Exists(byte[] content) => File.Exists(Path.Combine(_folder.Path, StoreLayout.Shard(Digest.Of(content))));

    private void Age(TimeSpan age) => Age(_folder.Path, age);

    private static void Age(string folder, TimeSpan age)
    {
        foreach (var file in Directory.GetFiles(folder, "*", SearchOption.AllDirectories))
        {
            File.SetLastWriteTimeUtc(file, DateTime.UtcNow - age - TimeSpan.FromMinutes(1));
        }
    }
}
