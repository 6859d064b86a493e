namespace CloudShards.Benchmarks.Contenders;

/// <summary>The pipeline, with shards above 16 MiB copied by the service itself.</summary>
internal sealed class CopiedSharding : IContender
{
    public string Name => "pipeline, copied by the service";

    public async Task<Job> PrepareAsync(Arena arena, Traffic traffic, CancellationToken cancellationToken)
    {
        await arena.Container(arena.Target, traffic).CreateIfNotExistsAsync(cancellationToken: cancellationToken);
        return new(0, token => arena.ShardAsync(arena.Target, traffic, token, isCopiedByService: true));
    }
}
