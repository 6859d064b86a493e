namespace CloudShards.Benchmarks.Contenders;

/// <summary>The pipeline on a checkpoint whose shards all exist, as when the same file is uploaded again.</summary>
internal sealed class RepeatedSharding : IContender
{
    public string Name => "pipeline, every shard is there";

    public Task<Job> PrepareAsync(Arena arena, Traffic traffic, CancellationToken cancellationToken) =>
        Task.FromResult(new Job(0, token => arena.ShardAsync(Arena.Shards, traffic, token)));
}
