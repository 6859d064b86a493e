using System.Collections.Concurrent;
using System.Collections.Immutable;
using CloudShards.Formats;

namespace CloudShards.Cli;

/// <summary>
/// Reads every shard and every pack of a manifest once and compares it with what the manifest says of it, in bounded memory. What is wrong is
/// read once more, for bytes can be damaged on the way.
/// </summary>
internal sealed class CheckpointVerifier(IShardStore store, ShardManifest manifest, VerifyProgress progress)
{
    private const int Lanes = 8;
    private const int BlockBytes = 4 << 20;
    private const int Attempts = 2;

    // A writer's own hashing reads one block while it hashes another. Its buffers bound the memory: Lanes times two blocks.
    private readonly ShardWriter _hashing = new(
        store, new() { ChunkBytes = manifest.ChunkBytes, BlockBytes = BlockBytes, BufferBytes = 2 * BlockBytes * Lanes });

    private readonly Dictionary<string, ShardedTensor> _tensors = manifest.Tensors.ToDictionary(tensor => tensor.Name, StringComparer.Ordinal);

    /// <summary>What a manifest names, each blob once: shards, then packs.</summary>
    public static ImmutableArray<NamedBlob> BlobsOf(ShardManifest manifest) =>
    [
        .. manifest.Tensors.GroupBy(tensor => tensor.Digest)
            .Select(shard => new NamedBlob(StoreLayout.Shard(shard.Key), shard.Key, shard.First().Bytes, [.. shard], null)),
        .. (manifest.Packs.IsDefault ? [] : manifest.Packs)
            .Select(pack => new NamedBlob(StoreLayout.Pack(pack.Digest), pack.Digest, pack.Bytes, [], pack)),
    ];

    /// <summary>Compares blobs with the manifest.</summary>
    /// <returns>What is wrong, in the order of the blobs.</returns>
    public async Task<ImmutableArray<ShardFault>> FindFaultsAsync(ImmutableArray<NamedBlob> blobs, CancellationToken cancellationToken)
    {
        var faults = new ConcurrentDictionary<int, ShardFault>();
        var parallel = new ParallelOptions { MaxDegreeOfParallelism = Lanes, CancellationToken = cancellationToken };
        await Parallel.ForEachAsync(blobs.Index(), parallel, async (item, token) =>
        {
            if (await FindFaultAsync(item.Item, token) is { } fault)
            {
                faults[item.Index] = fault;
            }

            progress.BlobDone();
        });
        return [.. faults.OrderBy(fault => fault.Key).Select(fault => fault.Value)];
    }

    private async Task<ShardFault?> FindFaultAsync(NamedBlob blob, CancellationToken cancellationToken)
    {
        if (await store.TryFindAsync(blob.Name, cancellationToken) is not { } found)
        {
            return Errors.BlobMissing(blob);
        }

        if (found.Bytes != blob.Bytes)
        {
            return Errors.WrongLength(blob, found.Bytes);
        }

        ShardFault? fault = null;
        for (var attempt = 0; attempt < Attempts; attempt++)
        {
            fault = await CompareAsync(blob, attempt == 0 ? progress : null, cancellationToken);
            if (fault is null)
            {
                break;
            }
        }

        return fault;
    }

    private async Task<ShardFault?> CompareAsync(NamedBlob blob, VerifyProgress? told, CancellationToken cancellationToken)
    {
        using var packed = blob.Pack is null ? null : new PackedShards(blob.Pack, _tensors);
        ShardSums sums;
        try
        {
            sums = await _hashing.HashAsync(
                blob.Bytes,
                async (offset, block, token) =>
                {
                    await store.ReadAsync(blob.Name, offset, block, token);
                    packed?.Append(offset, block.Span);
                    told?.Read(block.Length);
                },
                cancellationToken);
        }
        catch (ShardNotFoundException)
        {
            return Errors.BlobMissing(blob);
        }

        if (sums.Digest != blob.Digest)
        {
            return Errors.WrongDigest(blob, sums.Digest, FirstWrongChunk(blob, sums));
        }

        if (packed?.FirstWrong is { } misplaced)
        {
            return Errors.WrongPlace(blob, misplaced);
        }

        var contradicted = blob.Tensors.FirstOrDefault(tensor => tensor.Bytes != sums.Bytes || !tensor.Chunks.SequenceEqual(sums.Chunks));
        return contradicted is null ? null : Errors.WrongSums(blob, contradicted);
    }

    private static int? FirstWrongChunk(NamedBlob blob, ShardSums sums)
    {
        if (blob.Tensors.IsEmpty)
        {
            return null;
        }

        var wrong = blob.Tensors[0].Chunks.AsSpan().CommonPrefixLength(sums.Chunks.AsSpan());
        return wrong < sums.Chunks.Length ? wrong : null;
    }
}

/// <summary>A blob that a manifest names.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Digest">Its SHA-256.</param>
/// <param name="Bytes">Its length.</param>
/// <param name="Tensors">The tensors whose shard it is; none of a pack.</param>
/// <param name="Pack">The pack that it is, or null.</param>
internal sealed record NamedBlob(string Name, Digest Digest, long Bytes, ImmutableArray<ShardedTensor> Tensors, ManifestPack? Pack)
{
    /// <summary>The names of the tensors that are in it.</summary>
    public IEnumerable<string> TensorNames => Pack is null ? Tensors.Select(tensor => tensor.Name) : Pack.Tensors.Select(tensor => tensor.Name);
}

/// <summary>A blob that is not what a manifest says.</summary>
/// <param name="Blob">The blob.</param>
/// <param name="Kind">What is wrong with it.</param>
/// <param name="Message">The same, for people: what was found, and what to do.</param>
/// <param name="Chunk">The first wrong chunk of the shard, where one is known.</param>
internal sealed record ShardFault(NamedBlob Blob, FaultKind Kind, string Message, int? Chunk = null);

/// <summary>What is wrong with a blob.</summary>
internal enum FaultKind
{
    /// <summary>It is not in the store.</summary>
    Missing,

    /// <summary>It has another length.</summary>
    Length,

    /// <summary>It has another SHA-256.</summary>
    Digest,

    /// <summary>It is what its digest says, but not what the manifest's length and chunk sums say.</summary>
    Sums,

    /// <summary>A pack is what its digest says, but a tensor is not where the manifest says.</summary>
    Place,
}
