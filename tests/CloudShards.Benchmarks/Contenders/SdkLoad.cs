namespace CloudShards.Benchmarks.Contenders;

/// <summary>The SDK into native memory.</summary>
internal sealed class SdkLoad(string name, ShardedCheckpointOptions options) : IContender
{
    public string Name => name;

    /// <summary>Whether the memory was touched before.</summary>
    public bool IsTouched { get; init; } = true;

    /// <summary>Whether the manifest has packs.</summary>
    public bool IsPacked { get; init; } = true;

    public async Task<Job> PrepareAsync(Arena arena, Traffic traffic, CancellationToken cancellationToken)
    {
        var checkpoint = await arena.OpenAsync(traffic, options, cancellationToken, IsPacked);
        var memory = NativeBytes.For(checkpoint.Tensors, IsTouched);
        var reads = ReadsOf(checkpoint, memory);
        return Job.Of(memory, token => checkpoint.ReadAllAsync(reads, null, token));
    }

    /// <summary>Reads of all tensors that there is memory for; a tensor above 1 GiB by several.</summary>
    public static List<ShardRead> ReadsOf(ShardedCheckpoint checkpoint, Dictionary<string, NativeBytes> memory) =>
    [
        .. from tensor in checkpoint.Tensors
           where memory.ContainsKey(tensor.Name)
           from cut in memory[tensor.Name].Cut()
           select new ShardRead(tensor, cut.Offset, cut.Window),
    ];
}
