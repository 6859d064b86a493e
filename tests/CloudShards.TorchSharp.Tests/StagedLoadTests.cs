using CloudShards.Formats;
using static TorchSharp.torch;

namespace CloudShards.Tests;

/// <summary>Tensors that cannot be read in place, and have many runs. Tensors on other devices go the same way.</summary>
public sealed class StagedLoadTests : IDisposable
{
    private const int ChunkBytes = 256;
    private const int Chunks = 48;

    private readonly Folder _folder = new();
    private readonly DirectoryInfo _cache = Directory.CreateTempSubdirectory("cloudshards-");

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData(ShardVerification.Chunks)]
    [InlineData(ShardVerification.Digest)]
    public async Task ATensorInManyRunsIsCachedAsAWhole(ShardVerification verification)
    {
        using var saved = new Holder(("weight", rand(48, 64)));
        await using var written = await _folder.SaveAsync(saved, options: new() { ChunkBytes = ChunkBytes });
        await using var checkpoint = await OpenAsync("model", verification);

        foreach (var reads in (int[])[Chunks, 0])
        {
            using var module = new Holder(("weight", zeros(64, 48).t()));
            _folder.TakeRead();
            await module.LoadShardsAsync(checkpoint, cancellationToken: Token);

            Assert.Equal(reads, _folder.TakeRead().Count);
            Assert.Equal(Models.BytesOf(saved), Models.BytesOf(module));
        }
    }

    [Fact]
    public async Task ATensorInManyRunsIsComparedWithItsDigest()
    {
        using var saved = new Holder(("weight", rand(48, 64)));
        await using var written = await _folder.SaveAsync(saved, options: new() { ChunkBytes = ChunkBytes });
        var forged = written["weight"] with { Digest = Digest.Of([1]) };
        var manifest = (written.Manifest with { Tensors = [forged] }).ToUtf8();
        await _folder.TryCreateAsync(StoreLayout.Shard(forged.Digest), Models.BytesOf(saved)["weight"], Token);
        await _folder.TryCreateAsync(StoreLayout.Manifest("model", Digest.Of(manifest)), manifest, Token);
        await using var checkpoint = await OpenAsync($"model@{Digest.Of(manifest)}", ShardVerification.Digest);
        using var module = new Holder(("weight", zeros(64, 48).t()));

        var corrupt = await Assert.ThrowsAsync<ShardCorruptException>(() => module.LoadShardsAsync(checkpoint, cancellationToken: Token));

        Assert.Equal("weight", corrupt.Tensor);
        Assert.Single(_cache.GetFiles("*", SearchOption.AllDirectories), file => file.Name == ".lock");
    }

    public void Dispose()
    {
        _folder.Dispose();
        _cache.Delete(recursive: true);
    }

    private Task<ShardedCheckpoint> OpenAsync(string reference, ShardVerification verification) => _folder.OpenAsync(
        reference, new() { MaxRequestBytes = ChunkBytes, CacheFolder = _cache.FullName, Verification = verification });
}
