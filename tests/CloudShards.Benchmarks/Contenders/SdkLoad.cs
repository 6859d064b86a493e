namespace CloudShards.Benchmarks.Contenders;

/// <summary>The SDK into native memory, with its defaults: every chunk verified.</summary>
internal sealed class SdkLoad : IContender
{
    public string Name => "SDK, verified";

    public async Task<Func<CancellationToken, Task>> PrepareAsync(Arena arena, Traffic traffic, CancellationToken cancellationToken)
    {
        var checkpoint = await arena.OpenAsync(traffic, cancellationToken);
        var memory = NativeBytes.For(checkpoint.Tensors);
        return token => checkpoint.ReadAllAsync(checkpoint.Tensors.Select(tensor => ShardRead.Whole(tensor, memory[tensor.Name])), null, token);
    }
}
