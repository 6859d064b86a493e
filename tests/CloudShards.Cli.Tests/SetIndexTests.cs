using System.Text;

namespace CloudShards.Cli.Tests;

public sealed class SetIndexTests
{
    [Theory]
    [InlineData("""{"metadata": {"weight_map": 1}, "weight_map": {}}""", true)]
    [InlineData("""{"weight_map": 3""", true)]
    [InlineData("""{"metadata": {"weight_map": {}}}""", false)]
    [InlineData("""["weight_map"]""", false)]
    [InlineData("{}", false)]
    [InlineData("{\0weight_map", false)]
    [InlineData("{\"\\ud800\": 1, \"weight_map\": 2}", true)]
    public void AnObjectWithAWeightMapAtItsTopIsMeantAsAnIndex(string json, bool expected) =>
        Assert.Equal(expected, SetIndex.HasWeightMap(Encoding.UTF8.GetBytes(json), isWhole: true));

    [Fact]
    public void AnUnfinishedHeadMayBeAnIndexYet() => Assert.Null(SetIndex.HasWeightMap("""{"metadata": {"total_size": 1"""u8, isWhole: false));
}
