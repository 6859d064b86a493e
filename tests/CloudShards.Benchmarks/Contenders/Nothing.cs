namespace CloudShards.Benchmarks.Contenders;

/// <summary>What a process takes before it loads anything: the runtime, warmed up by the SDK's reads, and an open checkpoint.</summary>
internal sealed class Nothing : IContender
{
    public string Name => "nothing";

    public async Task<Job> PrepareAsync(Arena arena, Traffic traffic, CancellationToken cancellationToken)
    {
        if (arena.WarmUp is null)
        {
            return await new SdkLoad("", new()).PrepareAsync(arena, traffic, cancellationToken);
        }

        var checkpoint = await arena.OpenAsync(traffic, cancellationToken);
        return new(0, _ =>
        {
            GC.KeepAlive(checkpoint);
            return Task.CompletedTask;
        });
    }
}
