using CloudShards.Formats;

namespace CloudShards.Sharding;

/// <summary>
/// Brings small shards together that are to be repeated in packs. What is in which pack depends on the checkpoint and on
/// <see cref="BatchBounds.PackedBytes"/>, not on how batches are cut, so that the manifest does not either. Pure.
/// </summary>
internal static class PackPlanner
{
    /// <summary>
    /// Bytes that a pack may have: it is put together in one buffer, beside a window through which its parts are read. The digests of manifests
    /// depend on it.
    /// </summary>
    public const int MaxPackBytes = 12 << 20;

    /// <summary>Shards that a pack may have. One worker writes them all, each by itself.</summary>
    public const int MaxPackShards = 1024;

    /// <summary>
    /// Runs of shards that stay in one batch: the small ones of a pack, or one by itself. They are in the order of the first shard of each.
    /// </summary>
    /// <param name="shards">The shards, in the order in which they lie in the files.</param>
    /// <param name="packedBytes">Bytes of the largest shard that is packed.</param>
    /// <returns>For each run, the indices of its shards, rising.</returns>
    public static List<List<int>> Runs(IReadOnlyList<TensorInfo> shards, int packedBytes)
    {
        var runs = new List<List<int>>();
        var (pack, bytes) = (new List<int>(), 0L);
        foreach (var (i, shard) in shards.Index())
        {
            var isSmall = shard.Bytes > 0 && shard.Bytes <= packedBytes;
            if (isSmall && pack.Count is > 0 and < MaxPackShards && bytes + shard.Bytes <= MaxPackBytes)
            {
                pack.Add(i);
                bytes += shard.Bytes;
                continue;
            }

            runs.Add([i]);
            if (isSmall)
            {
                (pack, bytes) = (runs[^1], shard.Bytes);
            }
        }

        return runs;
    }
}
