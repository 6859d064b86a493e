using CloudShards.Sharding;

namespace CloudShards.Benchmarks.Contenders;

/// <summary>What one does without CloudShards: download the file by Azure's client, then read its tensors from disk.</summary>
internal sealed class FileLoad : IContender
{
    public string Name => "DownloadToAsync a file, then read it";

    public async Task<Job> PrepareAsync(Arena arena, Traffic traffic, CancellationToken cancellationToken)
    {
        await using var checkpoint = await arena.OpenAsync(traffic, cancellationToken);
        var memory = NativeBytes.For(checkpoint.Tensors);
        return Job.Of(memory, token => ReadAsync(arena, traffic, memory, token));
    }

    /// <summary>Downloads the file and reads the tensors that there is memory for.</summary>
    public static async Task ReadAsync(Arena arena, Traffic traffic, Dictionary<string, NativeBytes> memory, CancellationToken cancellationToken)
    {
        var path = Path.Combine(Directory.CreateDirectory(arena.Scratch).FullName, $"{Guid.NewGuid():N}.safetensors");
        try
        {
            await arena.Container(Arena.Uploads, traffic).GetBlobClient(arena.File).DownloadToAsync(path, cancellationToken);
            using var file = new FileCheckpointSource(path, arena.File);
            var description = await CheckpointProbe.DescribeAsync(file, null, cancellationToken);
            foreach (var tensor in description.Tensors.Where(tensor => memory.ContainsKey(tensor.Name)))
            {
                foreach (var (offset, window) in memory[tensor.Name].Cut())
                {
                    await file.ReadAsync(tensor.Contiguous!.Value.Offset + offset, window, cancellationToken);
                }
            }
        }
        finally
        {
            File.Delete(path);
        }
    }
}
