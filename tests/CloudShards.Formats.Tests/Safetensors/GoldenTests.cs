using CloudShards.Formats.Tests.Files;
using CloudShards.Testing;

namespace CloudShards.Formats.Tests.Safetensors;

public sealed class GoldenTests
{
    public static TheoryData<string> Ok => GoldenFile.Names("safetensors", CorpusExpectation.Ok);

    public static TheoryData<string> Either => GoldenFile.Names("safetensors", CorpusExpectation.Either);

    public static TheoryData<string> Rejected => GoldenFile.Names("safetensors", CorpusExpectation.Reject);

    [Theory]
    [MemberData(nameof(Ok))]
    public void AFileIsListedExactly(string name) => GoldenFile.AssertListed(CorpusFile.Get(name));

    // F8, F4 and U16 are optional for a reader; this one has them.
    [Theory]
    [MemberData(nameof(Either))]
    public void AFileOfRareDTypesIsListedExactly(string name) => GoldenFile.AssertListed(CorpusFile.Get(name));

    [Theory]
    [MemberData(nameof(Rejected))]
    public void ABadFileIsRefused(string name) => CheckpointBytes.Refuse(CorpusFile.Get(name).ReadAllBytes());

    [Fact]
    public void PublishedFilesAreListedExactly()
    {
        var files = CorpusFile.RealFiles.Where(file => file.Format == "safetensors").ToList();
        Assert.SkipWhen(files.Count == 0, "There are no published files beside this clone.");
        Assert.All(files, GoldenFile.AssertListed);
    }
}
