using System.Collections.Immutable;
using System.Text.Json;
using CloudShards.Formats;

namespace CloudShards.Sharding;

/// <summary>What sharding one checkpoint takes: its tensors, the distinct shards among them, and the batches to write those in.</summary>
public sealed record ShardPlan
{
    /// <summary>The job's id.</summary>
    public required string Job { get; init; }

    /// <summary>The checkpoint's name.</summary>
    public required string Name { get; init; }

    /// <summary>The files that it comes from; <see cref="TensorInfo.File"/> counts them.</summary>
    public required ImmutableArray<ManifestSource> Sources { get; init; }

    /// <summary>Bytes of a shard that each chunk sum covers.</summary>
    public required int ChunkBytes { get; init; }

    /// <summary>The tensors, in the checkpoint's order.</summary>
    public required ImmutableArray<TensorInfo> Tensors { get; init; }

    /// <summary>For each tensor the index of its shard: tied tensors, which lie on the same bytes, have one.</summary>
    public required ImmutableArray<int> ShardOf { get; init; }

    /// <summary>For each shard the index of the first tensor that it holds, in the order in which they lie in the files.</summary>
    public required ImmutableArray<int> Shards { get; init; }

    /// <summary>Runs of <see cref="Shards"/>; together they cover it.</summary>
    public required ImmutableArray<ShardBatch> Batches { get; init; }

    /// <summary>The source format's own texts.</summary>
    public required ImmutableSortedDictionary<string, string> Metadata { get; init; }

    /// <summary>What the checkpoint holds beside tensors.</summary>
    public required JsonElement Values { get; init; }

    /// <summary>The tensor by which a shard is read.</summary>
    public TensorInfo TensorOf(int shard) => Tensors[Shards[shard]];
}

/// <summary>A run of a plan's shards that one worker writes.</summary>
/// <param name="Number">The batch's number, from 0 on.</param>
/// <param name="FirstShard">The first shard's index.</param>
/// <param name="ShardCount">Number of shards.</param>
public readonly record struct ShardBatch(int Number, int FirstShard, int ShardCount);
