using CloudShards.Formats;
using CloudShards.Testing;

namespace CloudShards.Sharding.Tests;

/// <summary>Every checkpoint of the corpus, from the file to the shards, against what PyTorch itself made of it.</summary>
public sealed class CorpusTests : IDisposable
{
    // The sidecars keep the keys apart; in a checkpoint here, two names that are one are a refusal and not a guess.
    private const string Colliding = "name_collision.pt";

    private readonly TemporaryFolder _folder = new();

    public static TheoryData<string> Good => CorpusFile.Names(
        file => IsInFormat(file) && file.Expect == CorpusExpectation.Ok && file.Name != Colliding);

    public static TheoryData<string> Doubtful => CorpusFile.Names(file => IsInFormat(file) && file.Expect == CorpusExpectation.Either);

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public void Dispose() => _folder.Dispose();

    [Theory]
    [MemberData(nameof(Good))]
    public async Task EveryTensorIsAShardOfItsBytes(string name) => await AssertShardedAsync(CorpusFile.Get(name));

    [Fact]
    public async Task NamesThatCollideOnceTheyAreJoinedAreRefused()
    {
        var refusal = await Assert.ThrowsAsync<CheckpointFormatException>(() => AssertShardedAsync(CorpusFile.Get(Colliding)));

        Assert.Equal(CheckpointError.BadName, refusal.Error);
    }

    [Theory]
    [MemberData(nameof(Doubtful))]
    public async Task ADoubtfulFileIsRefusedOrEveryTensorIsAShardOfItsBytes(string name)
    {
        var refusal = await Record.ExceptionAsync(() => AssertShardedAsync(CorpusFile.Get(name)));

        Assert.True(refusal is null or CheckpointFormatException, $"{refusal}");
        Assert.True(refusal is null || !Directory.EnumerateFileSystemEntries(_folder.Path).Any(), "A refused file left something in the store.");
    }

    private static bool IsInFormat(CorpusFile file) => file.Format is "torch-zip" or "safetensors";

    private async Task AssertShardedAsync(CorpusFile file)
    {
        using var source = new FileCheckpointSource(file.Path, file.Name);

        var manifest = await ShardingRun.RunAsync(source, new DirectoryShardStore(_folder.Path), Token);

        Assert.Equal(file.Tensors.Select(tensor => tensor.Name), manifest.Tensors.Select(tensor => tensor.Name));
        Assert.All(file.Tensors.Zip(manifest.Tensors), pair =>
        {
            var (expected, found) = pair;
            Assert.Equal(expected.SafetensorsDType ?? found.DType.Name(), found.DType.Name());
            Assert.Equal(expected.Shape, found.Shape.Sizes);
            Assert.Equal(expected.Bytes, found.Bytes);
            Assert.Equal(expected.Digest, found.Digest);
        });
        ShardingRun.AssertStored(manifest, _folder.Path);
    }
}
