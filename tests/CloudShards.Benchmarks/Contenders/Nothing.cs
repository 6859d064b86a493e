namespace CloudShards.Benchmarks.Contenders;

/// <summary>What a process takes before it loads anything: the runtime, the SDK's code after it read a tensor, and an open checkpoint.</summary>
internal sealed class Nothing : IContender
{
    public string Name => "nothing";

    public async Task<Job> PrepareAsync(Arena arena, Traffic traffic, CancellationToken cancellationToken)
    {
        var checkpoint = await arena.OpenAsync(traffic, cancellationToken);
        if (arena.WarmUp is not null)
        {
            return new(0, _ =>
            {
                GC.KeepAlive(checkpoint);
                return Task.CompletedTask;
            });
        }

        var memory = NativeBytes.For(checkpoint.Tensors.Take(1));
        return Job.Of(memory, token => checkpoint.ReadAllAsync(SdkLoad.ReadsOf(checkpoint, memory), null, token));
    }
}
