using CloudShards.Sharding;

namespace CloudShards.Benchmarks.Contenders;

/// <summary>What one does without CloudShards and without room on disk: read the file's tensors in their order from Azure's stream.</summary>
internal sealed class StreamLoad : IContender
{
    public string Name => "OpenReadAsync, read in order";

    public async Task<Job> PrepareAsync(Arena arena, Traffic traffic, CancellationToken cancellationToken)
    {
        await using var checkpoint = await arena.OpenAsync(traffic, cancellationToken);
        var memory = NativeBytes.For(checkpoint.Tensors);
        return Job.Of(memory, token => ReadAsync(arena, traffic, memory, token));
    }

    private static async Task ReadAsync(Arena arena, Traffic traffic, Dictionary<string, NativeBytes> memory, CancellationToken cancellationToken)
    {
        var blob = arena.Container(Arena.Uploads, traffic).GetBlobClient(arena.File);
        var description = await CheckpointProbe.DescribeAsync(await BlobCheckpointSource.OpenAsync(blob, null, cancellationToken), null, cancellationToken);
        await using var stream = await blob.OpenReadAsync(cancellationToken: cancellationToken);
        foreach (var tensor in description.Tensors.OrderBy(tensor => tensor.Contiguous!.Value.Offset))
        {
            stream.Position = tensor.Contiguous!.Value.Offset;
            foreach (var (_, window) in memory[tensor.Name].Cut())
            {
                await stream.ReadExactlyAsync(window, cancellationToken);
            }
        }
    }
}
