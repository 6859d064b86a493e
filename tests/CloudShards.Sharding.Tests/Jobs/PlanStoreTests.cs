namespace CloudShards.Sharding.Tests.Jobs;

/// <summary>Jobs that were begun by a version that knew no packs.</summary>
public sealed class PlanStoreTests : IDisposable
{
    private const string Job = "abc";

    private readonly TemporaryFolder _folder = new();
    private readonly DirectoryShardStore _work;
    private readonly PlanStore _plans;

    public PlanStoreTests()
    {
        _work = new(_folder.Path);
        _plans = new(_work);
    }

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public void Dispose() => _folder.Dispose();

    [Fact]
    public async Task APlanWithoutPacksIsGoneOnWithWithoutThem()
    {
        await WriteAsync("plan", """
            {"job":"abc","name":"model","files":[],"format":"safetensors","bounds":{"batchBytes":10,"batchShards":2,"chunkBytes":65536},"tensorCount":0,"batches":[]}
            """u8.ToArray());

        var plan = await _plans.CreateAsync(Descriptions.Plan([]).Plan with { Job = Job }, Token);

        Assert.Equal(new(10, 2, 65536, 0), plan.Bounds);
    }

    [Fact]
    public async Task ABatchWithoutPacksIsWritten()
    {
        await WriteAsync("batches/3", """{"number":3,"shards":[]}"""u8.ToArray());

        var batch = await _plans.ReadBatchAsync(Job, 3, Token);
        var receipt = await new BatchWriter([], ShardingRun.Writer(_work), null, new(1, TimeProvider.System), 1).WriteAsync(batch, null, Token);

        Assert.Empty(batch.Packs);
        Assert.Equal((3, 0, 0), (receipt.Batch, receipt.Shards.Length, receipt.Packs.Length));
    }

    [Fact]
    public async Task AReceiptWithoutPacksIsTaken()
    {
        var planned = Descriptions.Plan([Descriptions.Tensor("a", 0, [1]), Descriptions.Tensor("b", 4, [1])]);
        await WriteAsync("receipts/0", """
            {"batch":0,"shards":[{"digest":"sha256:0000000000000000000000000000000000000000000000000000000000000000","chunks":[1],"created":true},{"digest":"sha256:1111111111111111111111111111111111111111111111111111111111111111","chunks":[2],"created":true}]}
            """u8.ToArray());

        var receipts = await _plans.ReadReceiptsAsync(planned.Plan with { Job = Job }, Token);
        var manifest = ManifestComposition.Compose(planned.Plan, planned.Tensors, receipts);

        Assert.True(manifest.Packs.IsDefault);
        Assert.Equal(["a", "b"], manifest.Tensors.Select(tensor => tensor.Name));
    }

    [Fact]
    public async Task PacksComeBackAsTheyWereWritten()
    {
        var planned = Descriptions.Plan([Descriptions.Tensor("a", 0, [1]), Descriptions.Tensor("b", 4, [1])]);
        var receipt = new ShardReceipt(0, [], [new(Formats.Digest.Of([1]), new(0, 2))]);
        await _plans.CreateDetailsAsync(planned with { Plan = planned.Plan with { Job = Job } }, Token);
        await _plans.WriteReceiptAsync(Job, receipt, Token);

        Assert.Equal([new PackedShards(0, 2)], (await _plans.ReadBatchAsync(Job, 0, Token)).Packs);
        Assert.Equal(receipt.Packs, (await _plans.ReadReceiptsAsync(planned.Plan with { Job = Job }, Token))[0].Packs);
    }

    private async Task WriteAsync(string document, byte[] content) => Assert.True(await _work.TryCreateAsync($"jobs/{Job}/{document}.json", content, Token));
}
