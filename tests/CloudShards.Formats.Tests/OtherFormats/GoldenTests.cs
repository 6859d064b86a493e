using CloudShards.Formats.Tests.Files;
using CloudShards.Testing;

namespace CloudShards.Formats.Tests.OtherFormats;

public sealed class GoldenTests
{
    private static readonly string[] Formats = ["torch-legacy", "torch-tar", "torchscript", "torchsharp"];

    // Their sidecars leave open what they hold.
    private static readonly string[] Unspecified = ["whole_module_legacy.pt", "torchsharp_tensor.dat"];

    public static TheoryData<string> Ok => Files(CorpusExpectation.Ok);

    public static TheoryData<string> Either => Files(CorpusExpectation.Either);

    public static TheoryData<string> Rejected => Files(CorpusExpectation.Reject);

    [Theory]
    [MemberData(nameof(Ok))]
    public void AFileIsListedExactly(string name) => GoldenFile.AssertListed(CorpusFile.Get(name));

    [Theory]
    [MemberData(nameof(Either))]
    public void ADoubtfulFileIsRefusedOrListedExactly(string name) => GoldenFile.AssertRefusedOrListed(CorpusFile.Get(name));

    [Theory]
    [MemberData(nameof(Rejected))]
    public void ABadFileIsRefused(string name) => CheckpointBytes.Refuse(CorpusFile.Get(name).ReadAllBytes());

    // What a sidecar leaves to the reader and this reader promises.
    [Theory]
    [InlineData("ancient_tar.pt")]
    [InlineData("legacy_view.pt")]
    [InlineData("sparse.pt")]
    [InlineData("sparse_legacy.pt")]
    [InlineData("quantised.pt")]
    [InlineData("whole_module.pt")]
    [InlineData("torchscript.pt")]
    [InlineData("torchscript_traced.pt")]
    public void AFileThatIsPromisedIsListedExactly(string name) => GoldenFile.AssertListed(CorpusFile.Get(name));

    [Fact]
    public void AModulePickledWholeWithItsSourceIsListedByItsStateDict()
    {
        var description = CheckpointBytes.Describe(CorpusFile.Get("whole_module_legacy.pt").ReadAllBytes());

        Assert.Equal((CheckpointFormat.TorchLegacy, 2), (description.Format, description.Tensors.Length));
        Assert.Equal(["0.weight", "0.bias"], description.Tensors.Select(tensor => tensor.Name));
    }

    [Fact]
    public void HowTensorsAreQuantisedIsAmongTheValues()
    {
        var values = CheckpointBytes.Describe(CorpusFile.Get("quantised.pt").ReadAllBytes()).Values;

        Assert.Equal(
            """{"$quantized":{"scheme":"per_tensor_affine","scale":0.05,"zero_point":3}}""", values.GetProperty("per_tensor_qint8").GetRawText());
        var channels = values.GetProperty("per_channel_qint8").GetProperty("$quantized");
        Assert.Equal([0, 1, 2], channels.GetProperty("zero_point").EnumerateArray().Select(number => number.GetInt32()));
        Assert.Equal((3, 0), (channels.GetProperty("scale").GetArrayLength(), channels.GetProperty("axis").GetInt32()));
    }

    [Fact]
    public void WhatSparseTensorsAreIsAmongTheValues()
    {
        var values = CheckpointBytes.Describe(CorpusFile.Get("sparse.pt").ReadAllBytes()).Values;

        Assert.Equal("""{"$sparse":{"layout":"sparse_coo","shape":[2,3]}}""", values.GetProperty("coo").GetRawText());
        Assert.Equal("""{"$sparse":{"layout":"sparse_csr","shape":[2,2]}}""", values.GetProperty("csr").GetRawText());
    }

    // Tensors of these formats end at the file's end, so nothing may be missing.
    [Theory]
    [InlineData("legacy_handmade.pt")]
    [InlineData("legacy_view.pt")]
    [InlineData("tied_legacy.pt")]
    [InlineData("scalars_empty.ts.dat")]
    [InlineData("torchscript.pt")]
    public void EveryProperPrefixIsRefused(string name)
    {
        var file = CorpusFile.Get(name).ReadAllBytes();
        Assert.All(Enumerable.Range(0, file.Length), length => CheckpointBytes.Refuse(file[..length]));
    }

    [Fact]
    public void PublishedFilesAreListedExactly()
    {
        var files = CorpusFile.RealFiles.Where(file => file.Format == "torch-legacy").ToList();
        Assert.SkipWhen(files.Count == 0, "There are no published files beside this clone.");
        Assert.All(files, GoldenFile.AssertListed);
    }

    private static TheoryData<string> Files(CorpusExpectation expectation) => CorpusFile.Names(
        file => Formats.Contains(file.Format) && file.Expect == expectation && !Unspecified.Contains(file.Name));
}
