using System.Collections.Immutable;
using CloudShards.Formats;

namespace CloudShards.Sharding;

/// <summary>Makes the manifest of a plan and the receipts of all its batches, and publishes it: the manifest first, then the tag.</summary>
/// <param name="shards">Where shards, manifests and tags are.</param>
/// <param name="tags">Moves the tag.</param>
internal sealed class CheckpointCommit(IShardStore shards, CheckpointTags tags)
{
    /// <summary>The manifest; the same for the same plan and receipts.</summary>
    /// <exception cref="InvalidDataException">The receipts are not those of the plan's batches.</exception>
    public static ShardManifest Compose(ShardPlan plan, PlannedTensors tensors, IEnumerable<ShardReceipt> receipts)
    {
        ArgumentNullException.ThrowIfNull(plan);
        ArgumentNullException.ThrowIfNull(tensors);
        var byBatch = receipts.ToDictionary(receipt => receipt.Batch);
        var shards = new List<ReceiptShard>(plan.ShardCount);
        var packs = new List<ReceiptPack>();
        foreach (var (number, batch) in plan.Batches.Index())
        {
            var found = byBatch.TryGetValue(number, out var receipt) ? receipt.Shards : [];
            packs.AddRange(receipt?.Packs.Select(pack => pack with { Shards = pack.Shards with { First = shards.Count + pack.Shards.First } }) ?? []);
            shards.AddRange(found.Length == batch.Shards ? found : throw Errors.ReceiptMismatch(plan.Job, number, found.Length, batch.Shards));
        }

        return new()
        {
            Name = plan.Name,
            Source = [.. plan.Sources.Select(file => new ManifestSource(file.Path, file.Bytes, plan.Format))],
            ChunkBytes = plan.Bounds.ChunkBytes,
            Tensors =
            [
                .. tensors.Tensors.Select(tensor => new ShardedTensor(
                    tensor.Name, tensor.DType, tensor.Shape, tensor.Shape.ByteCount(tensor.DType), shards[tensor.Shard].Digest, shards[tensor.Shard].Chunks)),
            ],
            Packs = PacksOf(packs, tensors),
            Metadata = tensors.Metadata,
            Values = tensors.Values,
        };
    }

    // Tied tensors lie at one place of a pack, in the checkpoint's order: sorting by shards keeps it.
    private static ImmutableArray<ManifestPack> PacksOf(List<ReceiptPack> packs, PlannedTensors tensors)
    {
        if (packs is [])
        {
            return default;
        }

        PlannedTensor[] byShard = [.. tensors.Tensors.OrderBy(tensor => tensor.Shard)];
        var (listed, next) = (ImmutableArray.CreateBuilder<ManifestPack>(packs.Count), 0);
        foreach (var (digest, (first, count)) in packs)
        {
            var (packed, shard, offset, end) = (ImmutableArray.CreateBuilder<PackedTensor>(count), -1, 0L, 0L);
            for (; next < byShard.Length && byShard[next].Shard < first + count; next++)
            {
                var tensor = byShard[next];
                if (tensor.Shard < first)
                {
                    continue;
                }

                if (tensor.Shard != shard)
                {
                    (shard, offset, end) = (tensor.Shard, end, end + tensor.Shape.ByteCount(tensor.DType));
                }

                packed.Add(new(tensor.Name, offset));
            }

            listed.Add(new(digest, end, packed.DrainToImmutable()));
        }

        return listed.MoveToImmutable();
    }

    /// <summary>Publishes a manifest and moves <c>latest</c> to it, unless a newer upload is there already.</summary>
    /// <param name="manifest">The manifest.</param>
    /// <param name="files">The upload's files.</param>
    /// <param name="confirm">Asked last before the tag is moved; an exception leaves it where it is.</param>
    /// <param name="cancellationToken">Ends it.</param>
    /// <returns>The manifest's reference.</returns>
    /// <exception cref="SourceChangedException">The upload was overwritten; nothing but the unnamed manifest was written.</exception>
    public async Task<CheckpointReference> PublishAsync(
        ShardManifest manifest, ImmutableArray<ICheckpointSource> files, Func<CancellationToken, ValueTask> confirm, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(manifest);

        // Published last: whoever can read the manifest can read all its shards.
        var digest = await ManifestWriter.WriteAsync(shards, manifest, cancellationToken).ConfigureAwait(false);
        await MoveLatestAsync(manifest.Name, digest, files, confirm, cancellationToken).ConfigureAwait(false);
        return CheckpointReference.ForDigest(manifest.Name, digest);
    }

    // Two uploads of one path may be of the same second, the clock's resolution: only the source itself tells which is the newer. It is asked after
    // the tag was read and before it is replaced, so that a newer upload either is seen here, or finds the tag changed under it and looks again.
    private async Task MoveLatestAsync(
        string name, Digest digest, ImmutableArray<ICheckpointSource> files, Func<CancellationToken, ValueTask> confirm, CancellationToken cancellationToken)
    {
        var options = new TagMoveOptions
        {
            Rule = TagRule.ForwardOnly,
            Source = [.. files.Select(file => new TagSource(file.Path, file.ETag, file.UploadedAt))],
            Confirm = async token =>
            {
                foreach (var file in files)
                {
                    await file.EnsureUnchangedAsync(token).ConfigureAwait(false);
                }

                await confirm(token).ConfigureAwait(false);
            },
        };
        await tags.MoveAsync(CheckpointReference.ForTag(name, ShardTag.Latest), digest, options, cancellationToken).ConfigureAwait(false);
    }
}
