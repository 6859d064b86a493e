using System.Collections.Immutable;
using System.Text.Json;
using System.Text.Json.Serialization;
using CloudShards.Formats;

namespace CloudShards.Sharding;

/// <summary>
/// What sharding one checkpoint takes, but for its tensors: <c>jobs/{job}/plan.json</c> in the work container. It stays small however many tensors there
/// are, since the worker of every batch reads it.
/// </summary>
public sealed record ShardPlan
{
    /// <summary>The job's id.</summary>
    public required string Job { get; init; }

    /// <summary>The checkpoint's name.</summary>
    public required string Name { get; init; }

    /// <summary>The files that it comes from, in the order that <see cref="TensorInfo.File"/> counts, and behind them the index of a set.</summary>
    public required ImmutableArray<PlannedFile> Files { get; init; }

    /// <summary>Their format, as a manifest names it.</summary>
    public required string Format { get; init; }

    /// <summary>By what the batches were cut. Whoever plans the job again does it by the same bounds.</summary>
    public required BatchBounds Bounds { get; init; }

    /// <summary>Number of tensors.</summary>
    public required int TensorCount { get; init; }

    /// <summary>The size of each batch.</summary>
    public required ImmutableArray<BatchSize> Batches { get; init; }

    /// <summary>The shards of all batches.</summary>
    [JsonIgnore]
    public int ShardCount => Batches.Sum(batch => batch.Shards);

    /// <summary>The bytes of all batches.</summary>
    [JsonIgnore]
    public long Bytes => Batches.Sum(batch => batch.Bytes);

    /// <summary>The files that hold tensors.</summary>
    [JsonIgnore]
    public IEnumerable<PlannedFile> Sources => Files.Where(file => !file.IsIndex);
}

/// <summary>One version of an uploaded file.</summary>
/// <param name="Path">Its path in the uploads container.</param>
/// <param name="ETag">The version.</param>
/// <param name="Bytes">Its length.</param>
/// <param name="IsIndex">Whether it is the index of a set, which holds no tensors itself.</param>
public sealed record PlannedFile(string Path, string ETag, long Bytes, bool IsIndex = false);

/// <summary>By what batches and chunks are cut.</summary>
/// <param name="BatchBytes">Bytes that a batch may read, unless it has one shard alone.</param>
/// <param name="BatchShards">Shards that a batch may write.</param>
/// <param name="ChunkBytes">Bytes of a shard that each chunk sum covers.</param>
/// <param name="PackedBytes">Bytes of the largest shard that is repeated in a pack; 0 where none is.</param>
public sealed record BatchBounds(long BatchBytes, int BatchShards, int ChunkBytes, int PackedBytes);

/// <summary>How much one batch is.</summary>
/// <param name="Shards">Number of shards.</param>
/// <param name="Bytes">Their bytes.</param>
public readonly record struct BatchSize(int Shards, long Bytes);

/// <summary>A run of shards that one worker writes: <c>jobs/{job}/batches/{n}.json</c>.</summary>
/// <param name="Number">The batch's number, from 0 on.</param>
/// <param name="Shards">For each shard a tensor that it holds: in the order in which they lie in the files, but those of a pack together.</param>
/// <param name="Packs">Which of them are repeated in packs.</param>
public sealed record ShardBatch(int Number, ImmutableArray<TensorInfo> Shards, ImmutableArray<PackedShards> Packs)
{
    /// <summary>Which of them are repeated in packs.</summary>
    // A version that knew no packs may have begun the job.
    public ImmutableArray<PackedShards> Packs { get; init; } = Packs.IsDefault ? [] : Packs;

    /// <summary>How much it is.</summary>
    [JsonIgnore]
    public BatchSize Size => new(Shards.Length, Shards.Sum(shard => shard.Bytes));

    /// <summary>The bytes of a pack.</summary>
    public long BytesOf(PackedShards pack) => Shards.Skip(pack.First).Take(pack.Count).Sum(shard => shard.Bytes);

    /// <summary>A batch of some of these shards: those that are wanted for themselves, and all of the packs that are wanted.</summary>
    /// <param name="shards">For each shard whether it is wanted.</param>
    /// <param name="packs">For each pack whether it is.</param>
    public ShardBatch Only(IReadOnlyList<bool> shards, IReadOnlyList<bool> packs)
    {
        var (chosen, packed) = (ImmutableArray.CreateBuilder<TensorInfo>(), ImmutableArray.CreateBuilder<PackedShards>());
        var whole = Packs.Where((_, i) => packs[i]).ToList();
        foreach (var pack in whole)
        {
            packed.Add(new(chosen.Count, pack.Count));
            chosen.AddRange(Shards.AsSpan().Slice(pack.First, pack.Count));
        }

        chosen.AddRange(Shards.Where((_, i) => shards[i] && !whole.Exists(pack => i >= pack.First && i < pack.First + pack.Count)));
        return new(Number, chosen.DrainToImmutable(), packed.DrainToImmutable());
    }
}

/// <summary>Neighbours in a batch that are repeated, back to back, in one pack.</summary>
/// <param name="First">The first of them in the batch.</param>
/// <param name="Count">How many.</param>
public readonly record struct PackedShards(int First, int Count);

/// <summary>What the manifest will say beside the shards' digests.</summary>
/// <param name="Tensors">The tensors, in the checkpoint's order.</param>
/// <param name="Metadata">The source format's own texts.</param>
/// <param name="Values">What the checkpoint holds beside tensors.</param>
public sealed record PlannedTensors(
    ImmutableArray<PlannedTensor> Tensors, ImmutableSortedDictionary<string, string> Metadata, JsonElement Values);

/// <summary>A tensor and its shard.</summary>
/// <param name="Name">Its name.</param>
/// <param name="DType">The type of its elements.</param>
/// <param name="Shape">Its sizes.</param>
/// <param name="Shard">The number of its shard, counted through all batches. Tied tensors, which lie on the same bytes, have one.</param>
public readonly record struct PlannedTensor(string Name, TensorDType DType, TensorShape Shape, int Shard);

/// <summary>A plan and all that it speaks of.</summary>
/// <param name="Plan">The plan.</param>
/// <param name="Tensors">The tensors.</param>
/// <param name="Batches">The batches.</param>
public sealed record PlannedCheckpoint(ShardPlan Plan, PlannedTensors Tensors, ImmutableArray<ShardBatch> Batches);
