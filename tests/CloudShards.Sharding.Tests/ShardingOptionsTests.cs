namespace CloudShards.Sharding.Tests;

public sealed class ShardingOptionsTests
{
    [Theory]
    [InlineData(64 << 10, true)]
    [InlineData(64 << 20, true)]
    [InlineData((64 << 10) - 1, false)]
    [InlineData((64 << 20) + 1, false)]
    public void AChunkIsWhatReadersTake(int bytes, bool isFine)
    {
        var problems = new ShardingOptions { ChunkBytes = bytes }.FindProblems();

        Assert.Equal(isFine ? [] : [nameof(ShardingOptions.ChunkBytes)], problems.Select(problem => problem.Split('`')[0]));
    }
}
