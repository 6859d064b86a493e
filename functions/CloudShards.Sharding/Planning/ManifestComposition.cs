using System.Collections.Immutable;
using System.Text.Json;
using CloudShards.Formats;

namespace CloudShards.Sharding;

/// <summary>
/// Makes the manifest of a plan from the receipts of all its batches; the same for the same plan and receipts. Tensors are added one after the other, so
/// that what a plan says of them is nowhere in memory together. Pure.
/// </summary>
internal sealed class ManifestComposition
{
    private readonly ShardPlan _plan;
    private readonly List<ReceiptShard> _shards;
    private readonly List<ReceiptPack> _packs = [];
    private readonly List<int> _shardOf = [];
    private readonly ImmutableArray<ShardedTensor>.Builder _tensors = ImmutableArray.CreateBuilder<ShardedTensor>();

    /// <summary>A manifest without tensors yet.</summary>
    /// <exception cref="InvalidDataException">The receipts are not those of the plan's batches.</exception>
    public ManifestComposition(ShardPlan plan, IEnumerable<ShardReceipt> receipts)
    {
        ArgumentNullException.ThrowIfNull(plan);
        ArgumentNullException.ThrowIfNull(receipts);
        (_plan, _shards) = (plan, new(plan.ShardCount));
        var byBatch = receipts.ToDictionary(receipt => receipt.Batch);
        foreach (var (number, batch) in plan.Batches.Index())
        {
            var found = byBatch.TryGetValue(number, out var receipt) ? receipt.Shards : [];
            _packs.AddRange(receipt?.Packs.Select(pack => pack with { Shards = pack.Shards with { First = _shards.Count + pack.Shards.First } }) ?? []);
            _shards.AddRange(found.Length == batch.Shards ? found : throw Errors.ReceiptMismatch(plan.Job, number, found.Length, batch.Shards));
        }
    }

    /// <summary>The manifest of tensors that are in memory together.</summary>
    /// <exception cref="InvalidDataException">The receipts are not those of the plan's batches.</exception>
    public static ShardManifest Compose(ShardPlan plan, PlannedTensors tensors, IEnumerable<ShardReceipt> receipts)
    {
        ArgumentNullException.ThrowIfNull(tensors);
        var composition = new ManifestComposition(plan, receipts);
        composition.Add(tensors.Tensors);
        return composition.Finish(tensors.Metadata, tensors.Values);
    }

    /// <summary>Adds the next tensors of the plan.</summary>
    public void Add(IEnumerable<PlannedTensor> tensors)
    {
        foreach (var (name, dtype, shape, shard) in tensors)
        {
            _shardOf.Add(shard);
            _tensors.Add(new(name, dtype, shape, shape.ByteCount(dtype), _shards[shard].Digest, _shards[shard].Chunks));
        }
    }

    /// <summary>The manifest, once all tensors were added.</summary>
    public ShardManifest Finish(ImmutableSortedDictionary<string, string> metadata, JsonElement values)
    {
        _shards.Clear();
        return new()
        {
            Name = _plan.Name,
            Source = [.. _plan.Sources.Select(file => new ManifestSource(file.Path, file.Bytes, _plan.Format))],
            ChunkBytes = _plan.Bounds.ChunkBytes,
            Packs = Packs(),
            Tensors = _tensors.DrainToImmutable(),
            Metadata = metadata,
            Values = values,
        };
    }

    // Tied tensors lie at one place of a pack, in the checkpoint's order: sorting by shards keeps it.
    private ImmutableArray<ManifestPack> Packs()
    {
        if (_packs is [])
        {
            return default;
        }

        int[] byShard = [.. Enumerable.Range(0, _shardOf.Count).OrderBy(tensor => _shardOf[tensor])];
        var (listed, next) = (ImmutableArray.CreateBuilder<ManifestPack>(_packs.Count), 0);
        foreach (var (digest, (first, count)) in _packs)
        {
            var (packed, shard, offset, end) = (ImmutableArray.CreateBuilder<PackedTensor>(count), -1, 0L, 0L);
            for (; next < byShard.Length && _shardOf[byShard[next]] is var current && current < first + count; next++)
            {
                if (current < first)
                {
                    continue;
                }

                var tensor = _tensors[byShard[next]];
                if (current != shard)
                {
                    (shard, offset, end) = (current, end, end + tensor.Bytes);
                }

                packed.Add(new(tensor.Name, offset));
            }

            listed.Add(new(digest, end, packed.DrainToImmutable()));
        }

        return listed.MoveToImmutable();
    }
}
