namespace CloudShards.Tests;

public sealed class NearNamesTests
{
    private static readonly string[] Names =
        ["model.layers.0.mlp.weight", "model.layers.1.mlp.weight", "model.layers.10.mlp.weight", "model.norm.weight", "lm_head.weight"];

    [Theory]
    [InlineData("lm_head.wieght", "lm_head.weight")]
    [InlineData("LM_HEAD.WEIGHT", "lm_head.weight")]
    [InlineData("norm.weight", "model.norm.weight")]
    [InlineData("module.lm_head.weight", "lm_head.weight")]
    [InlineData("model.layers.2.mlp.weight", "model.layers.0.mlp.weight model.layers.1.mlp.weight model.layers.10.mlp.weight")]
    [InlineData("conv1.bias", "")]
    [InlineData("", "")]
    public void SimilarNamesAreFound(string name, string found) => Assert.Equal(found, string.Join(' ', NearNames.Find(name, Names)));

    [Fact]
    public void AnEndlessNameHasNoNeighbours() => Assert.Empty(NearNames.Find(new('a', 60_000), [new('a', 60_001)]));
}
