using System.Collections.Immutable;
using CloudShards.Formats;

namespace CloudShards.Sharding.Tests.Writing;

/// <summary>Packs from the file to the manifest.</summary>
public sealed class PackTests : IDisposable
{
    private const int Tied = 7;

    private static readonly byte[] Content = Bytes(4 << 20);

    // Twelve small tensors with larger ones between them, and one under two names.
    private static readonly ImmutableArray<TensorInfo> Tensors =
    [
        .. Enumerable.Range(0, 12).Select(i => Descriptions.Tensor($"small{i}", 300_000L * i, [100 + i], TensorDType.U8)),
        .. Enumerable.Range(0, 3).Select(i => Descriptions.Tensor($"large{i}", 100_000 + (900_000L * i), [70_000], TensorDType.U8)),
        Descriptions.Tensor("tied", 300_000L * Tied, [100 + Tied], TensorDType.U8),
        Descriptions.Tensor("empty", 1000, [0], TensorDType.U8),
    ];

    private readonly TemporaryFolder _folder = new();
    private readonly StoreWatch _store;

    public PackTests() => _store = new(new DirectoryShardStore(_folder.Path));

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public void Dispose() => _folder.Dispose();

    [Fact]
    public async Task APackRepeatsItsShardsInTheOrderOfTheFileAndTiedTensorsAtOnePlace()
    {
        var manifest = await RunAsync();

        var pack = Assert.Single(manifest.Packs);
        Assert.Equal(
            [.. Enumerable.Range(0, Tied + 1).Select(i => $"small{i}"), "tied", .. Enumerable.Range(Tied + 1, 11 - Tied).Select(i => $"small{i}")],
            pack.Tensors.Select(tensor => tensor.Name));
        Assert.Equal(pack.Tensors.Select(tensor => tensor.Offset).Order(), pack.Tensors.Select(tensor => tensor.Offset));
        var content = await File.ReadAllBytesAsync(Path.Combine(_folder.Path, StoreLayout.Pack(pack.Digest)), Token);
        Assert.Equal((pack.Digest, pack.Bytes), (Digest.Of(content), content.Length));
        Assert.Equal(Tensors[..12].Sum(tensor => tensor.Bytes), pack.Bytes);
        Assert.All(pack.Tensors, packed =>
        {
            var tensor = Assert.Single(manifest.Tensors, tensor => tensor.Name == packed.Name);
            Assert.Equal(tensor.Digest, Digest.Of(content.AsSpan((int)packed.Offset, (int)tensor.Bytes)));
        });
        ShardingRun.AssertStored(manifest, _folder.Path);
        Assert.Equal(manifest.ToUtf8(), ShardManifest.Parse(manifest.ToUtf8()).ToUtf8());
    }

    [Fact]
    public async Task TheManifestIsTheSameHoweverTheBatchesAreCut()
    {
        var expected = (await RunAsync()).ToUtf8();

        foreach (var maxShards in Enumerable.Range(1, Tensors.Length))
        {
            Assert.Equal(expected, (await RunAsync(new() { MaxBatchShards = maxShards })).ToUtf8());
        }

        Assert.Equal(expected, (await RunAsync(new() { MaxBatchBytes = 1 })).ToUtf8());
    }

    [Fact]
    public async Task TheManifestIsTheSameWhetherOneWorkerWritesAllBatchesOrEachTwice()
    {
        var plan = Descriptions.Plan(Tensors, new() { MaxBatchShards = 4 });
        var first = new List<ShardReceipt>();
        var again = new List<ShardReceipt>();
        foreach (var batch in plan.Batches)
        {
            first.Add(await Batches().WriteAsync(batch, null, Token));
        }

        foreach (var batch in plan.Batches.Reverse())
        {
            again.Add(await Batches().WriteAsync(batch, null, Token));
        }

        Assert.Equal(ManifestComposition.Compose(plan.Plan, plan.Tensors, first).ToUtf8(), ManifestComposition.Compose(plan.Plan, plan.Tensors, again).ToUtf8());
        Assert.All(again.SelectMany(receipt => receipt.Shards), shard => Assert.False(shard.Created));
        Assert.Single(Directory.GetFiles(Path.Combine(_folder.Path, "packs"), "*", SearchOption.AllDirectories));
    }

    [Fact]
    public async Task APackOfOneShardIsNone()
    {
        var manifest = await RunAsync(tensors: [Tensors[0], Tensors[12]]);

        Assert.True(manifest.Packs.IsDefault);
        Assert.DoesNotContain(_store.Writes, IsOfPack);
    }

    [Fact]
    public async Task WithoutPacksTheManifestHasNone()
    {
        var manifest = await RunAsync(new() { MaxPackedBytes = 0 });

        Assert.True(manifest.Packs.IsDefault);
        Assert.DoesNotContain(_store.Writes, IsOfPack);
    }

    [Fact]
    public async Task APackThatIsThereIsNotSentAgain()
    {
        // More than a mebibyte, so that it is asked for first.
        ImmutableArray<TensorInfo> tensors = [.. Enumerable.Range(0, 20).Select(i => Descriptions.Tensor($"t{i}", i << 16, [1 << 16], TensorDType.U8))];

        var first = await RunAsync(tensors: tensors);
        var second = await RunAsync(tensors: tensors);

        Assert.Equal(first.ToUtf8(), second.ToUtf8());
        Assert.Single(_store.Writes, IsOfPack);
    }

    [Fact]
    public async Task ElementsOfLessThanAByteArePackedByTheirBytes()
    {
        var manifest = await RunAsync(tensors:
        [
            Descriptions.Tensor("a", 0, [6], TensorDType.F4),
            Descriptions.Tensor("b", 3, [2, 4], TensorDType.F6E2M3),
            Descriptions.Tensor("c", 9, [], TensorDType.F64),
        ]);

        Assert.Equal([("a", 0L), ("b", 3L), ("c", 9L)], manifest.Packs[0].Tensors.Select(tensor => (tensor.Name, tensor.Offset)));
        Assert.Equal(17, manifest.Packs[0].Bytes);
        Assert.Equal(Digest.Of(Content.AsSpan(0, 17)), manifest.Packs[0].Digest);
    }

    [Fact]
    public async Task MorePacksThanOneAreInTheOrderOfTheFile()
    {
        // 1,030 are more than one pack has; each has bytes of its own.
        var manifest = await RunAsync(tensors: [.. Enumerable.Range(0, 1030).Select(i => Descriptions.Tensor($"t{i}", i << 4, [16], TensorDType.U8))]);

        Assert.Equal([1024, 6], manifest.Packs.Select(pack => pack.Tensors.Length));
        Assert.Equal(("t1024", 0L), (manifest.Packs[1].Tensors[0].Name, manifest.Packs[1].Tensors[0].Offset));
        Assert.Equal([Digest.Of(Content.AsSpan(0, 16 << 10)), Digest.Of(Content.AsSpan(16 << 10, 96))], manifest.Packs.Select(pack => pack.Digest));
    }

    private static bool IsOfPack(string write) => write.Contains(" packs/", StringComparison.Ordinal);

    private Task<ShardManifest> RunAsync(ShardingOptions? options = null, ImmutableArray<TensorInfo>? tensors = null) =>
        ShardingRun.RunAsync(new SourceOf(Content, default), Descriptions.Of(tensors ?? Tensors), _store, Token, options);

    private BatchWriter Batches() => new([new SourceOf(Content, default)], ShardingRun.Writer(_store), null, new(2, TimeProvider.System), 2);

    private static byte[] Bytes(int length)
    {
        var content = new byte[length];
        new Random(1).NextBytes(content);
        return content;
    }
}
