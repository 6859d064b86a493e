using System.Text.Json;

namespace CloudShards.Testing.Tests;

public sealed class CorpusFileTests
{
    [Fact]
    public void EveryFileOfTheIndexIsListed()
    {
        using var index = JsonDocument.Parse(File.ReadAllBytes(Path.Combine(Repository.Corpus, "INDEX.json")));

        Assert.All(index.RootElement.GetProperty("files").EnumerateArray(), row =>
        {
            var file = CorpusFile.Get(row.GetProperty("file").GetString()!);
            Assert.Equal(row.GetProperty("expect").GetString(), file.Expect.ToString(), ignoreCase: true);
            Assert.Equal(row.GetProperty("format").GetString(), file.Format);
        });
    }

    [Fact]
    public void EveryFileHasTheSizeThatItsSidecarSays() =>
        Assert.All(CorpusFile.All, file => Assert.Equal(file.Bytes, file.ReadAllBytes().Length));

    [Fact]
    public void ASidecarIsReadWhole()
    {
        var file = CorpusFile.Get("hf_st/model-00001-of-00002.safetensors");
        var tensor = file.Tensors[0];

        Assert.Equal(("safetensors", CorpusExpectation.Ok), (file.Format, file.Expect));
        Assert.Equal(("linear.weight", "float32", "F32", 140L), (tensor.Name, tensor.TorchDType, tensor.SafetensorsDType, tensor.Bytes));
        Assert.Equal([5, 7], tensor.Shape);
        Assert.Equal("sha256:f2b4cab1883fda54c9e5be4d0cbc22ee77f233fdef30eb03401ba063e5ac078f", tensor.Digest.ToString());
    }

    [Fact]
    public void APublishedFileIsExpectedToBeRead()
    {
        Assert.SkipWhen(CorpusFile.RealFiles.IsEmpty, "`shared/real` is not beside this clone.");

        Assert.All(CorpusFile.RealFiles, file => Assert.Equal(CorpusExpectation.Ok, file.Expect));
    }
}
