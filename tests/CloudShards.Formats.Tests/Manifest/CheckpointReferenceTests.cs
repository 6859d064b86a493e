using CsCheck;

namespace CloudShards.Formats.Tests.Manifest;

public sealed class CheckpointReferenceTests
{
    private const string Sha = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    private static readonly Gen<string> Segment = Gen.String[Gen.Char["abzAZ09_-"], 1, 8];
    private static readonly Gen<string> Name = Segment.Array[1, 4].Select(segments => string.Join('/', segments));

    [Theory]
    [InlineData("llama-3-8b", "llama-3-8b", "latest")]
    [InlineData("llama-3-8b:prod", "llama-3-8b", "prod")]
    [InlineData("team/a/resnet18:v1.2", "team/a/resnet18", "v1.2")]
    public void AReferenceNamesATag(string text, string name, string tag)
    {
        var reference = CheckpointReference.Parse(text);

        Assert.Equal((name, tag, null), (reference.Name, reference.Tag, reference.Digest));
    }

    [Fact]
    public void AReferenceNamesAManifest()
    {
        var reference = CheckpointReference.Parse($"team/a@{Sha}");

        Assert.Equal(("team/a", null, Digest.Parse(Sha)), (reference.Name, reference.Tag, reference.Digest));
        Assert.Equal($"team/a@{Sha}", reference.ToString());
    }

    [Theory]
    [InlineData("")]
    [InlineData(":")]
    [InlineData("@")]
    [InlineData("a:")]
    [InlineData(":prod")]
    [InlineData("a:b:c")]
    [InlineData("a:b/c")]
    [InlineData("a b")]
    [InlineData("a/../b")]
    [InlineData("/a")]
    [InlineData("a/tags")]
    [InlineData("a@")]
    [InlineData("a@latest")]
    [InlineData("a@sha256:00")]
    [InlineData("@" + Sha)]
    [InlineData("a:b@" + Sha)]
    [InlineData("a@" + Sha + "@" + Sha)]
    [InlineData("https://example.org/a")]
    public void AnythingElseIsRefusedWithAReason(string text) =>
        Assert.NotEmpty(Assert.ThrowsAny<FormatException>(() => CheckpointReference.Parse(text)).Message);

    [Fact]
    public void TextsOfReferencesReadBackAsTheSameReference()
    {
        Gen.Select(Name, Segment).Where((name, _) => CheckpointName.IsValid(name)).Sample((name, tag) =>
            Assert.Equal(CheckpointReference.ForTag(name, tag), CheckpointReference.Parse(CheckpointReference.ForTag(name, tag).ToString())));
        Gen.Select(Name, Gen.Byte.Array[32]).Where((name, _) => CheckpointName.IsValid(name)).Sample((name, hash) =>
        {
            var reference = CheckpointReference.ForDigest(name, new(hash));
            Assert.Equal(reference, CheckpointReference.Parse(reference.ToString()));
        });
    }
}
