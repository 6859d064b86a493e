namespace CloudShards.Benchmarks.Contenders;

/// <summary>The pipeline, from the event to the moved tag.</summary>
internal sealed class PipelineSharding : IContender
{
    public string Name => "pipeline";

    public async Task<Job> PrepareAsync(Arena arena, Traffic traffic, CancellationToken cancellationToken)
    {
        await arena.Container(arena.Target, traffic).CreateIfNotExistsAsync(cancellationToken: cancellationToken);
        return new(0, token => arena.ShardAsync(arena.Target, traffic, token));
    }
}
