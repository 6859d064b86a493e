using System.Collections.Immutable;
using System.Text.Json;
using CloudShards.Formats;
using CsCheck;

namespace CloudShards.Sharding.Tests.Planning;

public sealed class ShardPlannerTests
{
    private static readonly TensorInfo Weight = Descriptions.Tensor("weight", 64, [4, 6]);

    /// <summary>Bytes of the tensors, bounds of a batch in bytes and in shards, and the shards in each batch.</summary>
    public static TheoryData<long[], long, int, int[]> Batches => new()
    {
        { [], 100, 10, [] },
        { [10, 10, 10], 30, 10, [3] },
        { [10, 10, 10], 29, 10, [2, 1] },
        { [10, 10, 10, 10, 10], 100, 2, [2, 2, 1] },
        { [10, 50, 10, 10], 20, 10, [1, 1, 2] },
        { [50], 20, 10, [1] },
        { [50, 50], 20, 10, [1, 1] },
        { [0, 0, 0], 20, 2, [2, 1] },
        { [20, 0, 20], 20, 10, [2, 1] },
        { [0, 50, 0], 20, 10, [1, 1, 1] },
        { [1L << 59, 1L << 59, 1], 1L << 59, 10, [1, 1, 1] },
    };

    /// <summary>What two tensors of one TorchStorage may differ in.</summary>
    public static TheoryData<string, TensorInfo> Others => new()
    {
        { "shape", Weight with { Shape = [6, 4] } },
        { "dtype", Weight with { DType = TensorDType.I32 } },
        { "TorchStorage", Weight with { Layout = Weight.Layout with { Extent = new(96, 96) } } },
        { "offset", Weight with { Layout = Weight.Layout with { ElementOffset = 1 } } },
        { "strides", Weight with { Layout = Weight.Layout with { Strides = [1, 4] } } },
        { "transform", Weight with { Layout = Weight.Layout with { Transform = ElementTransform.SwapBytes } } },
    };

    [Fact]
    public void TiedTensorsHaveOneShard()
    {
        var plan = Descriptions.Plan([Weight, Weight with { Name = "head" }, Weight with { Name = "third" }]);

        Assert.Single(Shards(plan));
        Assert.Equal([0, 0, 0], ShardOf(plan));
        Assert.Equal(["weight", "head", "third"], plan.Tensors.Tensors.Select(tensor => tensor.Name));
    }

    [Theory]
    [MemberData(nameof(Others))]
    public void TensorsThatDifferInOneThingHaveAShardEach(string difference, TensorInfo other)
    {
        var plan = Descriptions.Plan([Weight, other with { Name = difference }]);

        Assert.Equal(2, Shards(plan).Length);
        Assert.Equal([0, 1], ShardOf(plan).Order());
    }

    [Fact]
    public void ShardsLieInTheOrderOfTheFileAndTensorsInThatOfTheCheckpoint()
    {
        var plan = Descriptions.Plan(
        [
            Descriptions.Tensor("last", 900, [2]),
            Descriptions.Tensor("first", 0, [2]),
            Descriptions.Tensor("middle", 100, [2]),
            Descriptions.Tensor("first.again", 0, [2]),
        ]);

        Assert.Equal(["last", "first", "middle", "first.again"], plan.Tensors.Tensors.Select(tensor => tensor.Name));
        Assert.Equal(["first", "middle", "last"], Shards(plan).Select(shard => shard.Name));
        Assert.Equal([2, 0, 1, 0], ShardOf(plan));
    }

    [Fact]
    public void AnEmptyCheckpointHasNothingToWrite()
    {
        var plan = Descriptions.Plan([]);

        Assert.Empty(plan.Batches);
        Assert.Equal((0, 0L), (plan.Plan.ShardCount, plan.Plan.Bytes));
    }

    [Theory]
    [MemberData(nameof(Batches))]
    public void BatchesAreBoundedByBytesAndByShards(long[] sizes, long maxBytes, int maxShards, int[] shards)
    {
        var plan = Descriptions.Plan(BackToBack(sizes), new() { MaxBatchBytes = maxBytes, MaxBatchShards = maxShards, MaxPackedBytes = 0 });

        Assert.Equal(shards, plan.Batches.Select(batch => batch.Shards.Length));
    }

    [Fact]
    public void BatchesCoverTheShardsInOrderAndNoneCouldTakeMore() =>
        Gen.Select(Gen.Long[0, 40].Array[0, 60], Gen.Long[1, 100], Gen.Int[1, 12]).Sample((sizes, maxBytes, maxShards) =>
        {
            var plan = Descriptions.Plan(BackToBack(sizes), new() { MaxBatchBytes = maxBytes, MaxBatchShards = maxShards, MaxPackedBytes = 0 });

            var next = 0;
            foreach (var batch in plan.Batches)
            {
                next += batch.Shards.Length;
                Assert.InRange(batch.Shards.Length, 1, maxShards);
                var bytes = batch.Shards.Sum(shard => shard.Bytes);
                Assert.True(bytes <= maxBytes || batch.Shards.Length == 1);
                Assert.True(next == sizes.Length || batch.Shards.Length == maxShards || bytes + sizes[next] > maxBytes);
            }

            Assert.Equal(sizes, Shards(plan).Select(shard => shard.Bytes));
            Assert.Equal(Enumerable.Range(0, plan.Batches.Length), plan.Batches.Select(batch => batch.Number));
            Assert.Equal(plan.Batches.Select(batch => batch.Size), plan.Plan.Batches);
        });

    [Fact]
    public void ThePlanSaysWhatTheFileIs()
    {
        var values = JsonElement.Parse("""{"epoch": 3}""");
        var metadata = ImmutableSortedDictionary.Create<string, string>(StringComparer.Ordinal).Add("format", "pt");
        var description = new CheckpointDescription
        {
            Format = CheckpointFormat.TorchZip,
            Tensors = [Weight],
            Metadata = metadata,
            Values = values,
        };

        var (file, bounds) = (new PlannedFile("team/model.pt", "0x1", 4096), new BatchBounds(1 << 20, 10, 1024, 0));
        var plan = ShardPlanner.Plan("job", "team/model", [file], description, bounds);

        Assert.Equal(("job", "team/model", "torch-zip", bounds), (plan.Plan.Job, plan.Plan.Name, plan.Plan.Format, plan.Plan.Bounds));
        Assert.Equal([file], plan.Plan.Files);
        Assert.Equal((metadata, values), (plan.Tensors.Metadata, plan.Tensors.Values));
    }

    private static ImmutableArray<TensorInfo> Shards(PlannedCheckpoint plan) => [.. plan.Batches.SelectMany(batch => batch.Shards)];

    private static IEnumerable<int> ShardOf(PlannedCheckpoint plan) => plan.Tensors.Tensors.Select(tensor => tensor.Shard);

    private static ImmutableArray<TensorInfo> BackToBack(long[] sizes)
    {
        var tensors = ImmutableArray.CreateBuilder<TensorInfo>(sizes.Length);
        var offset = 0L;
        foreach (var (i, bytes) in sizes.Index())
        {
            // Only layouts of their own make shards of their own; a byte between tensors keeps empty ones apart.
            tensors.Add(Descriptions.Tensor($"t{i}", offset, [bytes], TensorDType.U8));
            offset += bytes + 1;
        }

        return tensors.MoveToImmutable();
    }
}
