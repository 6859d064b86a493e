using System.IO.Hashing;
using CloudShards.Formats;

namespace CloudShards.Tests;

/// <summary>Shards that are not what their names say, with chunk sums that do not tell.</summary>
public sealed class DigestVerificationTests : IAsyncLifetime
{
    private const int ChunkBytes = 100;

    private static readonly byte[] Content = [.. Enumerable.Range(0, 1_050).Select(i => (byte)i)];

    private readonly StoredCheckpoint _stored = new();
    private string _forged = null!;

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync()
    {
        await _stored.InitializeAsync();
        var tensor = new ShardedTensor(
            "a", TensorDType.U8, [Content.Length], Content.Length, Digest.Of([1]), [.. Content.Chunk(ChunkBytes).Select(chunk => XxHash3.HashToUInt64(chunk))]);
        var right = tensor with { Name = "b", Digest = Digest.Of(Content) };
        var manifest = new ShardManifest { Name = "forged", ChunkBytes = ChunkBytes, Tensors = [tensor, right] }.ToUtf8();
        Assert.True(await _stored.Folder.TryCreateAsync(StoreLayout.Shard(tensor.Digest), Content, Token));
        Assert.True(await _stored.Folder.TryCreateAsync(StoreLayout.Shard(right.Digest), Content, Token));
        Assert.True(await _stored.Folder.TryCreateAsync(StoreLayout.Manifest("forged", Digest.Of(manifest)), manifest, Token));
        _forged = CheckpointReference.ForDigest("forged", Digest.Of(manifest)).ToString();
    }

    public ValueTask DisposeAsync() => _stored.DisposeAsync();

    [Theory]
    [InlineData(ShardVerification.Chunks, "a", true)]
    [InlineData(ShardVerification.Digest, "a", false)]
    [InlineData(ShardVerification.Digest, "b", true)]
    public async Task AShardThatIsReadWholeIsComparedWithItsDigest(ShardVerification verification, string name, bool isTaken)
    {
        await using var checkpoint = await OpenAsync(verification);
        var tensor = checkpoint[name];
        Func<byte[], Task>[] reads =
        [
            read => checkpoint.ReadAsync(name, read, Token),
            read => checkpoint.ReadAllAsync([new(tensor, 0, read.AsMemory(0, 333)), new(tensor, 333, read.AsMemory(333))], cancellationToken: Token),
            read => checkpoint.ReadAllAsync([new(tensor, 7, new byte[9]), ShardRead.Whole(tensor, new byte[1_050]), ShardRead.Whole(tensor, read)], cancellationToken: Token),
            read => Task.Run(() => checkpoint.Read(tensor, 0, read, Token), Token),
        ];

        foreach (var run in reads)
        {
            var read = new byte[1_050];
            if (isTaken)
            {
                await run(read);
                Assert.Equal(Content, read);
            }
            else
            {
                var corrupt = await Assert.ThrowsAsync<ShardCorruptException>(() => run(read));
                Assert.Equal(("a", null, StoreLayout.Shard(Digest.Of([1]))), (corrupt.Tensor, corrupt.Chunk, corrupt.Blob));
            }
        }
    }

    [Fact]
    public async Task PartsAreNot()
    {
        await using var checkpoint = await OpenAsync(ShardVerification.Digest);
        var tensor = checkpoint["a"];
        var read = new byte[1_000];

        await checkpoint.ReadAllAsync([new(tensor, 50, read.AsMemory(0, 500)), new(tensor, 550, read.AsMemory(500))], cancellationToken: Token);

        Assert.Equal(Content[50..], read);
    }

    [Theory]
    [InlineData("a", 0)]
    [InlineData("b", 1)]
    public async Task AShardOfAnotherDigestIsNotCached(string name, int cached)
    {
        using var cache = new TemporaryFolder();
        await using var checkpoint = await OpenAsync(ShardVerification.Digest, cache.Path);

        await Record.ExceptionAsync(() => checkpoint.ReadAsync(name, new byte[1_050], Token));

        Assert.Equal(cached, Directory.GetFiles(cache.Path, "*", SearchOption.AllDirectories).Count(file => Path.GetFileName(file) is not (".lock" or "promised")));
    }

    private Task<ShardedCheckpoint> OpenAsync(ShardVerification verification, string? cacheFolder = null) => ShardedCheckpoint.OpenFromAsync(
        _stored.Folder, _forged, new() { Verification = verification, MaxRequestBytes = 100, CacheFolder = cacheFolder }, Token);
}
