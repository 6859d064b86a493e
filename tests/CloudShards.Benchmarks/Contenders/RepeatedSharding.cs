namespace CloudShards.Benchmarks.Contenders;

/// <summary>The pipeline on a checkpoint whose shards all exist, as when the same file is uploaded again.</summary>
internal sealed class RepeatedSharding : IContender
{
    public string Name => "pipeline, every shard is there";

    public Task<Func<CancellationToken, Task>> PrepareAsync(Arena arena, Traffic traffic, CancellationToken cancellationToken) =>
        Task.FromResult<Func<CancellationToken, Task>>(token => arena.ShardAsync(Arena.Shards, traffic, token));
}
