using System.Collections.Immutable;
using System.Text.Json.Serialization;
using CloudShards.Formats;

namespace CloudShards.Sharding;

/// <summary>What a batch left behind: the address of each of its shards, in the batch's order. <c>jobs/{job}/receipts/{n}.json</c>.</summary>
/// <param name="Batch">The batch's number.</param>
/// <param name="Shards">Its shards.</param>
/// <param name="Packs">Its packs.</param>
public sealed record ShardReceipt(int Batch, ImmutableArray<ReceiptShard> Shards, ImmutableArray<ReceiptPack> Packs)
{
    /// <summary>Its packs.</summary>
    // A worker of a version that knew no packs may have written it.
    public ImmutableArray<ReceiptPack> Packs { get; init; } = Packs.IsDefault ? [] : Packs;

    /// <summary>How many of its shards this batch wrote.</summary>
    [JsonIgnore]
    public int Created => Shards.Count(shard => shard.Created);
}

/// <summary>A shard that is in the store.</summary>
/// <param name="Digest">Its SHA-256.</param>
/// <param name="Chunks">The XXH3 of each of its chunks.</param>
/// <param name="Created">Whether this batch wrote it; false where it was there.</param>
public sealed record ReceiptShard(Digest Digest, ImmutableArray<ulong> Chunks, bool Created);

/// <summary>A pack that is in the store.</summary>
/// <param name="Digest">Its SHA-256.</param>
/// <param name="Shards">The shards of the batch that it repeats.</param>
public sealed record ReceiptPack(Digest Digest, PackedShards Shards);
