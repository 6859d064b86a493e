using System.Text;
using CloudShards.Formats.Tests.Files;
using CloudShards.Testing;

namespace CloudShards.Formats.Tests;

public sealed class HuggingFaceIndexTests
{
    [Theory]
    [InlineData("hf_st/model.safetensors.index.json")]
    [InlineData("hf_bin/pytorch_model.bin.index.json")]
    public void ASetListsTheTensorsOfAllItsFiles(string name)
    {
        var index = HuggingFaceIndex.Parse(CorpusFile.Get(name).ReadAllBytes());
        var combined = index.Combine([.. index.Files.Select(file => Describe(name, file))]);

        Assert.Equal(2, index.Files.Length);
        Assert.Equal(
            CorpusFile.Get(name).Tensors.Select(tensor => tensor.Name).Order(StringComparer.Ordinal),
            combined.Tensors.Select(tensor => tensor.Name).Order(StringComparer.Ordinal));
        Assert.All(combined.Tensors, tensor => Assert.Equal(index.FileOf[tensor.Name], index.Files[tensor.File]));
    }

    [Theory]
    [InlineData("traversal")]
    [InlineData("absolute")]
    [InlineData("url")]
    [InlineData("nonstring")]
    public void AnIndexThatPointsElsewhereIsRefused(string name) => Assert.Equal(
        CheckpointError.Malformed,
        Assert.Throws<CheckpointFormatException>(() => HuggingFaceIndex.Parse(CorpusFile.Get($"hf_bad/{name}.bin.index.json").ReadAllBytes())).Error);

    [Theory]
    [InlineData("")]
    [InlineData("[]")]
    [InlineData("{}")]
    [InlineData("null")]
    [InlineData("""{"weight_map": 1}""")]
    [InlineData("""{"weight_map": {"a": "x", "a": "y"}}""")]
    [InlineData("""{"weight_map": {"a": ""}}""")]
    [InlineData("""{"weight_map": {"a": ".."}}""")]
    [InlineData("""{"weight_map": {"a": "b\\c"}}""")]
    [InlineData("""{"weight_map": {"a": "c:x"}}""")]
    [InlineData("""{"weight_map": {"a": "\u0000"}}""")]
    [InlineData("""{"weight_map": {"a": null}}""")]
    public void WhatIsNoIndexIsRefused(string json) =>
        Assert.Throws<CheckpointFormatException>(() => HuggingFaceIndex.Parse(Encoding.UTF8.GetBytes(json)));

    [Fact]
    public void ATensorInAnotherFileThanTheIndexSaysIsRefused()
    {
        var index = HuggingFaceIndex.Parse(CorpusFile.Get("hf_st/model.safetensors.index.json").ReadAllBytes());
        var swapped = index.Files.Reverse().Select(file => Describe("hf_st/x", file)).ToList();

        var refusal = Assert.Throws<CheckpointFormatException>(() => index.Combine(swapped));

        Assert.Equal(CheckpointError.BadTensor, refusal.Error);
        Assert.NotNull(refusal.Tensor);
    }

    [Fact]
    public void ATensorThatNoFileHasIsRefused()
    {
        var index = HuggingFaceIndex.Parse("""{"weight_map": {"absent": "a.safetensors"}}"""u8);

        var refusal = Assert.Throws<CheckpointFormatException>(() => index.Combine([Describe("", "empty.safetensors")]));

        Assert.Equal("absent", refusal.Tensor);
    }

    private static CheckpointDescription Describe(string beside, string file) =>
        CheckpointBytes.Describe(CorpusFile.Get(beside[..(beside.LastIndexOf('/') + 1)] + file).ReadAllBytes());
}
