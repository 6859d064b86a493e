using System.Collections.Immutable;
using CloudShards.Formats;

namespace CloudShards.Sharding;

/// <summary>Turns a checkpoint's description into a plan. It is pure: the same description and bounds give the same plan.</summary>
public static class ShardPlanner
{
    /// <summary>Plans a checkpoint.</summary>
    /// <param name="job">The job's id.</param>
    /// <param name="name">The checkpoint's name.</param>
    /// <param name="files">Its files, those that hold tensors first.</param>
    /// <param name="description">What they hold.</param>
    /// <param name="bounds">The bounds of a batch.</param>
    public static PlannedCheckpoint Plan(
        string job, string name, ImmutableArray<PlannedFile> files, CheckpointDescription description, BatchBounds bounds)
    {
        ArgumentNullException.ThrowIfNull(description);
        ArgumentNullException.ThrowIfNull(bounds);
        var (shards, shardOf) = Distinct(description.Tensors);
        var (batches, placeOf) = Batch(shards, bounds);
        var plan = new ShardPlan
        {
            Job = job,
            Name = name,
            Files = files,
            Format = description.Format.Name(),
            Bounds = bounds,
            TensorCount = description.Tensors.Length,
            Batches = [.. batches.Select(batch => batch.Size)],
        };
        var tensors = description.Tensors.Select((tensor, i) => new PlannedTensor(tensor.Name, tensor.DType, tensor.Shape, placeOf[shardOf[i]]));
        return new(plan, new([.. tensors], description.Metadata, description.Values), batches);
    }

    // In file order, so that neighbours can be read together. What has equal layouts has equal bytes; other equal bytes meet at their digest.
    private static (List<TensorInfo> Shards, int[] ShardOf) Distinct(ImmutableArray<TensorInfo> tensors)
    {
        var shardOf = new int[tensors.Length];
        var shards = new List<TensorInfo>();
        var known = new Dictionary<(int, TensorLayout, TensorShape, TensorDType), int>();
        foreach (var i in Enumerable.Range(0, tensors.Length).OrderBy(i => tensors[i].File).ThenBy(i => Start(tensors[i])))
        {
            var key = (tensors[i].File, tensors[i].Layout, tensors[i].Shape, tensors[i].DType);
            if (!known.TryGetValue(key, out shardOf[i]))
            {
                shardOf[i] = known[key] = shards.Count;
                shards.Add(tensors[i]);
            }
        }

        return (shards, shardOf);
    }

    // What is in one pack is written together; so shards take new places.
    private static (ImmutableArray<ShardBatch> Batches, int[] PlaceOf) Batch(List<TensorInfo> shards, BatchBounds bounds)
    {
        var batches = ImmutableArray.CreateBuilder<ShardBatch>();
        var (batch, packs) = (ImmutableArray.CreateBuilder<TensorInfo>(), ImmutableArray.CreateBuilder<PackedShards>());
        var (placeOf, place, bytes) = (new int[shards.Count], 0, 0L);
        void End()
        {
            if (batch.Count > 0)
            {
                batches.Add(new(batches.Count, batch.DrainToImmutable(), packs.DrainToImmutable()));
                bytes = 0;
            }
        }

        foreach (var run in PackPlanner.Runs(shards, bounds.PackedBytes))
        {
            var runBytes = run.Sum(shard => shards[shard].Bytes);
            if (batch.Count + run.Count > bounds.BatchShards || runBytes > bounds.BatchBytes - bytes)
            {
                End();
            }

            if (run.Count > 1)
            {
                packs.Add(new(batch.Count, run.Count));
            }

            run.ForEach(shard => placeOf[shard] = place++);
            batch.AddRange(run.Select(shard => shards[shard]));
            bytes += runBytes;
        }

        End();
        return (batches.DrainToImmutable(), placeOf);
    }

    private static long Start(TensorInfo tensor) => tensor.Contiguous?.Offset ?? tensor.Layout.Extent.Offset;
}
