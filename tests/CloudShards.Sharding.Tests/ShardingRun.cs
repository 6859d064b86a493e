using System.Security.Cryptography;
using CloudShards.Formats;

namespace CloudShards.Sharding.Tests;

/// <summary>The way of a checkpoint from a source to a store, without a job around it.</summary>
internal static class ShardingRun
{
    public static ShardWriter Writer(IShardStore store, ShardingOptions? options = null)
    {
        options ??= new();
        return new(store, new() { ChunkBytes = options.ChunkBytes, BufferBytes = options.BufferBytes });
    }

    public static async Task<ShardManifest> RunAsync(
        ICheckpointSource source, IShardStore store, CancellationToken cancellationToken, ShardingOptions? options = null)
    {
        var description = await CheckpointProbe.DescribeAsync(source, null, cancellationToken);
        return await RunAsync(source, description, store, cancellationToken, options);
    }

    public static async Task<ShardManifest> RunAsync(
        ICheckpointSource source,
        CheckpointDescription description,
        IShardStore store,
        CancellationToken cancellationToken,
        ShardingOptions? options = null)
    {
        options ??= new();
        var plan = ShardPlanner.Plan("job", "model", [new(source.Path, source.ETag, source.Length)], description, options.Bounds);
        var batches = new BatchWriter([source], Writer(store, options), null, new(options.Lanes, TimeProvider.System), options.Lanes);
        var receipts = new List<ShardReceipt>();
        foreach (var batch in plan.Batches)
        {
            receipts.Add(await batches.WriteAsync(batch, null, cancellationToken));
        }

        return ManifestComposition.Compose(plan.Plan, plan.Tensors, receipts);
    }

    /// <summary>Checks that every shard of a manifest is in a folder and is what its address says.</summary>
    public static void AssertStored(ShardManifest manifest, string folder) => Assert.All(manifest.Tensors, tensor =>
    {
        using var shard = File.OpenRead(Path.Combine(folder, StoreLayout.Shard(tensor.Digest)));
        Assert.Equal(tensor.Bytes, shard.Length);
        Assert.Equal(tensor.Digest, new Digest(SHA256.HashData(shard)));
    });
}
