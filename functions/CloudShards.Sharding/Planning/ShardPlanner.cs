using System.Collections.Immutable;
using CloudShards.Formats;

namespace CloudShards.Sharding;

/// <summary>Turns a checkpoint's description into a <see cref="ShardPlan"/>. It is pure: the same description gives the same plan.</summary>
public static class ShardPlanner
{
    /// <summary>Plans a checkpoint.</summary>
    /// <param name="job">The job's id.</param>
    /// <param name="name">The checkpoint's name.</param>
    /// <param name="sources">Path and length of each of its files.</param>
    /// <param name="description">What they hold.</param>
    /// <param name="options">The bounds of a batch.</param>
    public static ShardPlan Plan(
        string job, string name, IEnumerable<(string Path, long Bytes)> sources, CheckpointDescription description, ShardingOptions options)
    {
        ArgumentNullException.ThrowIfNull(description);
        ArgumentNullException.ThrowIfNull(options);
        var (shards, shardOf) = Distinct(description.Tensors);
        return new()
        {
            Job = job,
            Name = name,
            Sources = [.. sources.Select(source => new ManifestSource(source.Path, source.Bytes, description.Format.Name()))],
            ChunkBytes = options.ChunkBytes,
            Tensors = description.Tensors,
            ShardOf = shardOf,
            Shards = shards,
            Batches = Batch(shards, description.Tensors, options),
            Metadata = description.Metadata,
            Values = description.Values,
        };
    }

    // In file order, so that neighbours can be read together. What has equal layouts has equal bytes; other equal bytes meet at their digest.
    private static (ImmutableArray<int> Shards, ImmutableArray<int> ShardOf) Distinct(ImmutableArray<TensorInfo> tensors)
    {
        var shardOf = new int[tensors.Length];
        var shards = ImmutableArray.CreateBuilder<int>();
        var known = new Dictionary<(int, TensorLayout, TensorShape, TensorDType), int>();
        foreach (var i in Enumerable.Range(0, tensors.Length).OrderBy(i => tensors[i].File).ThenBy(i => Start(tensors[i])))
        {
            var key = (tensors[i].File, tensors[i].Layout, tensors[i].Shape, tensors[i].DType);
            if (!known.TryGetValue(key, out shardOf[i]))
            {
                shardOf[i] = known[key] = shards.Count;
                shards.Add(i);
            }
        }

        return (shards.DrainToImmutable(), [.. shardOf]);
    }

    private static ImmutableArray<ShardBatch> Batch(ImmutableArray<int> shards, ImmutableArray<TensorInfo> tensors, ShardingOptions options)
    {
        var batches = ImmutableArray.CreateBuilder<ShardBatch>();
        var (first, bytes) = (0, 0L);
        for (var i = 0; i < shards.Length; i++)
        {
            var more = tensors[shards[i]].Bytes;
            if (i > first && (i - first == options.MaxBatchShards || more > options.MaxBatchBytes - bytes))
            {
                batches.Add(new(batches.Count, first, i - first));
                (first, bytes) = (i, 0);
            }

            bytes += more;
        }

        if (first < shards.Length)
        {
            batches.Add(new(batches.Count, first, shards.Length - first));
        }

        return batches.DrainToImmutable();
    }

    private static long Start(TensorInfo tensor) => tensor.Contiguous?.Offset ?? tensor.Layout.Extent.Offset;
}
