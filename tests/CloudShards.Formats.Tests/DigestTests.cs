namespace CloudShards.Formats.Tests;

public sealed class DigestTests
{
    // FIPS 180-2, appendix B.1, and the hash of nothing.
    private const string OfAbc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    private const string OfNothing = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    [Fact]
    public void ItIsTheSha256OfTheBytes()
    {
        Assert.Equal($"sha256:{OfAbc}", Digest.Of("abc"u8).ToString());
        Assert.Equal(OfNothing, Digest.Of([]).Hex);
    }

    [Fact]
    public void ItsTextReadsBackAsTheSameDigest()
    {
        var digest = Digest.Parse($"sha256:{OfAbc}");

        Assert.Equal(Digest.Of("abc"u8), digest);
        Assert.Equal(Digest.Of("abc"u8).GetHashCode(), digest.GetHashCode());
        Assert.NotEqual(Digest.Of([]), digest);
    }

    [Fact]
    public void LeadingZerosAreKept() =>
        Assert.Equal(new string('0', 63) + "1", new Digest([.. new byte[31], 1]).Hex);

    [Theory]
    [InlineData("")]
    [InlineData("sha256:")]
    [InlineData(OfAbc)]
    [InlineData("sha256:" + OfAbc + "0")]
    [InlineData("sha256:ba7816bf")]
    [InlineData("SHA256:" + OfAbc)]
    [InlineData("sha512:" + OfAbc)]
    [InlineData("sha256:BA7816BF8F01CFEA414140DE5DAE2223B00361A396177A9CB410FF61F20015AD")]
    [InlineData("sha256:zz7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")]
    [InlineData("sha256: a7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")]
    [InlineData("sha256:\uff11a7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015a")]
    public void AnythingElseIsRefused(string text)
    {
        Assert.False(Digest.TryParse(text, out _));
        Assert.Contains(text, Assert.Throws<FormatException>(() => Digest.Parse(text)).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(31)]
    [InlineData(33)]
    public void AHashOfAnotherLengthIsNoDigest(int length) => Assert.Throws<ArgumentException>(() => new Digest(new byte[length]));
}
