using CloudShards.Formats;
using CsCheck;

namespace CloudShards.Sharding.Tests.Planning;

public sealed class PackPlannerTests
{
    /// <summary>Bytes of the shards, the bytes of the largest that is packed, and the runs.</summary>
    public static TheoryData<long[], int, string> Runs => new()
    {
        { [], 100, "" },
        { [10], 100, "0" },
        { [10, 10, 10], 100, "0,1,2" },
        { [10, 10], 0, "0 1" },
        { [100, 101, 100], 100, "0,2 1" },
        { [200, 10, 200, 10], 100, "0 1,3 2" },
        { [0, 10, 0, 10], 100, "0 1,3 2" },
        { [0], 0, "0" },
        { [1L << 59, 1, 1], 100, "0 1,2" },
    };

    [Theory]
    [MemberData(nameof(Runs))]
    public void SmallShardsComeTogether(long[] sizes, int packedBytes, string runs) =>
        Assert.Equal(runs, string.Join(' ', PackPlanner.Runs(Shards(sizes), packedBytes).Select(run => string.Join(',', run))));

    [Theory]
    [InlineData(1, 1025, "1024 1")]
    [InlineData(1, 2050, "1024 1024 2")]
    [InlineData(64 << 10, 192, "192")]
    [InlineData(64 << 10, 400, "192 192 16")]
    [InlineData(40_000, 400, "314 86")]
    public void ARunIsBoundedByShardsAndBytes(long bytes, int count, string lengths) =>
        Assert.Equal(lengths, string.Join(' ', PackPlanner.Runs(Shards([.. Enumerable.Repeat(bytes, count)]), 64 << 10).Select(run => run.Count)));

    [Fact]
    public void APackAndItsWindowFitInABuffer() =>
        Assert.InRange(PackPlanner.MaxPackBytes + ShardingOptions.ViewBlockBytes, 1, ShardingOptions.BufferedBytes);

    [Fact]
    public void EveryShardIsInOneRunAndNoPackCouldTakeItsNext() =>
        Gen.Select(Gen.Long[0, 80_000].Array[0, 900], Gen.Int[0, 64 << 10]).Sample((sizes, packedBytes) =>
        {
            var runs = PackPlanner.Runs(Shards(sizes), packedBytes);

            Assert.Equal(Enumerable.Range(0, sizes.Length), runs.SelectMany(run => run).Order());
            Assert.Equal(runs.Select(run => run[0]).Order(), runs.Select(run => run[0]));
            Assert.All(runs, run => Assert.Equal(run.Order(), run));
            var packs = runs.FindAll(run => sizes[run[0]] is > 0 and var first && first <= packedBytes);
            Assert.All(runs.Except(packs), run => Assert.Single(run));
            Assert.All(packs.SelectMany(pack => pack), shard => Assert.InRange(sizes[shard], 1, packedBytes));
            foreach (var (pack, next) in packs.Zip(packs.Skip(1)))
            {
                var bytes = pack.Sum(shard => sizes[shard]);
                Assert.InRange(bytes, 1, PackPlanner.MaxPackBytes);
                Assert.InRange(pack.Count, 1, PackPlanner.MaxPackShards);
                Assert.True(pack[^1] < next[0]);
                Assert.True(pack.Count == PackPlanner.MaxPackShards || bytes + sizes[next[0]] > PackPlanner.MaxPackBytes);
            }
        });

    [Fact]
    public void WhatIsInAPackDoesNotDependOnHowBatchesAreCut() =>
        Gen.Select(Gen.Long[0, 3_000].Array[0, 60], Gen.Int[0, 2_000], Gen.Int[1, 20], Gen.Long[1, 20_000]).Sample((sizes, packedBytes, maxShards, maxBytes) =>
        {
            var tensors = Shards(sizes);
            var whole = Descriptions.Plan([.. tensors], new() { MaxPackedBytes = packedBytes });
            var cut = Descriptions.Plan([.. tensors], new() { MaxPackedBytes = packedBytes, MaxBatchShards = maxShards, MaxBatchBytes = maxBytes });

            Assert.Equal(Packs(whole), Packs(cut));
            Assert.Equal(whole.Tensors.Tensors, cut.Tensors.Tensors);
            Assert.Equal(whole.Batches.SelectMany(batch => batch.Shards), cut.Batches.SelectMany(batch => batch.Shards));
            Assert.All(cut.Batches, batch => Assert.True(
                batch.Shards.Length <= maxShards || (batch.Packs is [var only] && only == new PackedShards(0, batch.Shards.Length))));
            Assert.All(cut.Batches, batch => Assert.True(
                batch.Size.Bytes <= maxBytes || batch.Shards.Length == 1 || (batch.Packs is [var only] && only.Count == batch.Shards.Length)));
        });

    private static IEnumerable<string> Packs(PlannedCheckpoint plan) =>
        from batch in plan.Batches
        from pack in batch.Packs
        select string.Join(',', batch.Shards.Slice(pack.First, pack.Count).Select(shard => shard.Name));

    // Each in a place of its own, so that none is tied to another.
    private static List<TensorInfo> Shards(long[] sizes) =>
        [.. sizes.Select((bytes, i) => Descriptions.Tensor($"t{i}", 100_000L * i, [bytes], TensorDType.U8))];
}
