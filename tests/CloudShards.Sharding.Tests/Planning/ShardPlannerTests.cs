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

        Assert.Equal([0], plan.Shards);
        Assert.Equal([0, 0, 0], plan.ShardOf);
        Assert.Equal(["weight", "head", "third"], plan.Tensors.Select(tensor => tensor.Name));
    }

    [Theory]
    [MemberData(nameof(Others))]
    public void TensorsThatDifferInOneThingHaveAShardEach(string difference, TensorInfo other)
    {
        var plan = Descriptions.Plan([Weight, other with { Name = difference }]);

        Assert.Equal(2, plan.Shards.Length);
        Assert.NotEqual(plan.ShardOf[0], plan.ShardOf[1]);
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

        Assert.Equal(["last", "first", "middle", "first.again"], plan.Tensors.Select(tensor => tensor.Name));
        Assert.Equal(["first", "middle", "last"], Enumerable.Range(0, plan.Shards.Length).Select(shard => plan.TensorOf(shard).Name));
        Assert.Equal([2, 0, 1, 0], plan.ShardOf);
    }

    [Fact]
    public void AnEmptyCheckpointHasNothingToWrite()
    {
        var plan = Descriptions.Plan([]);

        Assert.Empty(plan.Shards);
        Assert.Empty(plan.Batches);
    }

    [Theory]
    [MemberData(nameof(Batches))]
    public void BatchesAreBoundedByBytesAndByShards(long[] sizes, long maxBytes, int maxShards, int[] shards)
    {
        var plan = Descriptions.Plan(BackToBack(sizes), new() { MaxBatchBytes = maxBytes, MaxBatchShards = maxShards });

        Assert.Equal(shards, plan.Batches.Select(batch => batch.ShardCount));
    }

    [Fact]
    public void BatchesCoverTheShardsInOrderAndNoneCouldTakeMore() =>
        Gen.Select(Gen.Long[0, 40].Array[0, 60], Gen.Long[1, 100], Gen.Int[1, 12]).Sample((sizes, maxBytes, maxShards) =>
        {
            var plan = Descriptions.Plan(BackToBack(sizes), new() { MaxBatchBytes = maxBytes, MaxBatchShards = maxShards });

            var next = 0;
            foreach (var batch in plan.Batches)
            {
                Assert.Equal(next, batch.FirstShard);
                next += batch.ShardCount;
                Assert.InRange(batch.ShardCount, 1, maxShards);
                var bytes = Enumerable.Range(batch.FirstShard, batch.ShardCount).Sum(shard => plan.TensorOf(shard).Bytes);
                Assert.True(bytes <= maxBytes || batch.ShardCount == 1);
                Assert.True(next == plan.Shards.Length || batch.ShardCount == maxShards || bytes + plan.TensorOf(next).Bytes > maxBytes);
            }

            Assert.Equal(plan.Shards.Length, next);
            Assert.Equal(Enumerable.Range(0, plan.Batches.Length), plan.Batches.Select(batch => batch.Number));
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

        var plan = ShardPlanner.Plan("job", "team/model", [("team/model.pt", 4096)], description, new() { ChunkBytes = 1024 });

        Assert.Equal(("job", "team/model", 1024), (plan.Job, plan.Name, plan.ChunkBytes));
        Assert.Equal([new("team/model.pt", 4096, "torch-zip")], plan.Sources);
        Assert.Equal((metadata, values), (plan.Metadata, plan.Values));
    }

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
