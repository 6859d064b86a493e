using CloudShards.Formats;
using static TorchSharp.torch;

namespace CloudShards.Tests;

public sealed class StagedRunTests
{
    [Theory]
    [InlineData(4, 100)]
    [InlineData(3, 40)]
    [InlineData(40, 40)]
    [InlineData(64, 10)]
    public void RunsCoverEveryTensorBetweenChunksAndBatchesAreBounded(int chunkBytes, int batchBytes)
    {
        using var first = zeros(7, 5);
        using var second = zeros(3, 9);
        PlannedTensor[] tensors = [Planned("first", first), Planned("second", second)];

        var batches = StagedRun.Batches(tensors, chunkBytes, batchBytes).ToList();

        Assert.All(batches, batch => Assert.True(batch.Length == 1 || batch.Sum(run => run.Elements * 4) <= batchBytes));
        foreach (var tensor in tensors)
        {
            long next = 0;
            foreach (var run in batches.SelectMany(batch => batch).Where(run => run.Tensor == tensor))
            {
                Assert.Equal(next, run.FirstElement);
                Assert.Equal(0, run.FirstElement * 4 % chunkBytes);
                next += run.Elements;
            }

            Assert.Equal(tensor.Target.numel(), next);
        }
    }

    [Fact]
    public void ADisposeScopeOfTheThreadDoesNotTakeTheStagingTensor()
    {
        using var target = zeros(7, 5).t();
        var run = Assert.Single(Assert.Single(StagedRun.Batches([Planned("weight", target)], 1 << 20, 1 << 20)));
        Tensor staging;
        using (NewDisposeScope())
        {
            staging = run.Stage();
        }

        using (staging)
        {
            Assert.False(staging.IsInvalid);
        }
    }

    private static PlannedTensor Planned(string name, Tensor target) =>
        new(name, new(name, TensorDType.F32, TensorShape.Create(target.shape), target.numel() * 4, default, []), target);
}
