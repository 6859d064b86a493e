namespace CloudShards.Formats.Tests.Manifest;

public sealed class StoreLayoutTests
{
    private const string Hex = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    private static readonly Digest Digest = Digest.Of("abc"u8);

    // The layout is a promise: stores that exist are read by these names.
    [Fact]
    public void BlobsHaveTheNamesOfTheDesign()
    {
        Assert.Equal($"tensors/sha256/ba/{Hex}", StoreLayout.Shard(Digest));
        Assert.Equal($"packs/sha256/ba/{Hex}", StoreLayout.Pack(Digest));
        Assert.Equal($"checkpoints/team/a/manifests/sha256/{Hex}.json", StoreLayout.Manifest("team/a", Digest));
        Assert.Equal("checkpoints/team/a/tags/prod.json", StoreLayout.Tag("team/a", "prod"));
    }
}
