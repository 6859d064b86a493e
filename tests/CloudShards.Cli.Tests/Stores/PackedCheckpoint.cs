using CloudShards.Formats;

namespace CloudShards.Cli.Tests;

/// <summary>A checkpoint <c>net</c> with three tensors of two shards, of which one has three chunks, and a pack.</summary>
internal sealed record PackedCheckpoint(CheckpointReference Reference, ShardManifest Manifest)
{
    private static CancellationToken Token => TestContext.Current.CancellationToken;

    /// <summary>The blob of the large tensor's shard.</summary>
    public string Large => StoreLayout.Shard(Manifest.Tensors[0].Digest);

    /// <summary>The blob of the shard that two tensors have.</summary>
    public string Tied => StoreLayout.Shard(Manifest.Tensors[1].Digest);

    /// <summary>The blob of the pack.</summary>
    public string Pack => StoreLayout.Pack(Manifest.Packs[0].Digest);

    /// <summary>Publishes it.</summary>
    /// <param name="store">Where to.</param>
    /// <param name="seed">Another gives other bytes.</param>
    /// <param name="tag">The tag that is moved to it.</param>
    public static async Task<PackedCheckpoint> PublishAsync(IShardStore store, byte seed = 0, string tag = "latest")
    {
        var (large, small) = (new byte[250], new byte[] { seed, 1, 2, 3 });
        new Random(seed).NextBytes(large);
        var writer = new CheckpointWriter(store, "net", new() { ChunkBytes = 100 });
        await writer.WriteTensorAsync("body.weight", TensorDType.U8, [25, 10], large, Token);
        await writer.WriteTensorAsync("head.bias", TensorDType.U8, [4], small, Token);
        await writer.WriteTensorAsync("tail.bias", TensorDType.I8, [4], small, Token);
        var plain = await writer.PublishAsync("plain", Token);
        await using var checkpoint = await ShardedCheckpoint.OpenFromAsync(store, plain.ToString(), cancellationToken: Token);

        byte[] pack = [9, 9, .. small];
        await store.TryCreateAsync(StoreLayout.Pack(Digest.Of(pack)), pack, Token);
        return await PublishAsync(
            store,
            checkpoint.Manifest with { Packs = [new(Digest.Of(pack), pack.Length, [new("head.bias", 2), new("tail.bias", 2)])] },
            tag);
    }

    /// <summary>Publishes a manifest whose shards are there.</summary>
    public static async Task<PackedCheckpoint> PublishAsync(IShardStore store, ShardManifest manifest, string tag = "latest")
    {
        var digest = Digest.Of(manifest.ToUtf8());
        await store.TryCreateAsync(StoreLayout.Manifest("net", digest), manifest.ToUtf8(), Token);
        await new CheckpointTags(store).MoveAsync(CheckpointReference.ForTag("net", tag), digest, cancellationToken: Token);
        return new(CheckpointReference.ForDigest("net", digest), manifest);
    }
}
