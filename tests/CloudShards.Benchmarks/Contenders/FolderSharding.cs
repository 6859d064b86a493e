namespace CloudShards.Benchmarks.Contenders;

/// <summary>The pipeline from a blob into a folder that is deleted afterwards.</summary>
internal sealed class FolderSharding : IContender
{
    private const string Memory = "/dev/shm";

    public string Name => "pipeline, into a folder";

    public Task<Job> PrepareAsync(Arena arena, Traffic traffic, CancellationToken cancellationToken) =>
        Task.FromResult(new Job(0, async token =>
        {
            var parent = Directory.Exists(Memory) ? Memory : Path.GetTempPath();
            var folder = Directory.CreateDirectory(Path.Combine(parent, $"cloudshards-{Guid.NewGuid():N}"));
            try
            {
                var (shards, work) = (new DirectoryShardStore(Path.Combine(folder.FullName, "s")), new DirectoryShardStore(Path.Combine(folder.FullName, "w")));
                await arena.ShardAsync(shards, work, traffic, new(), token);
            }
            finally
            {
                folder.Delete(recursive: true);
            }
        }));
}
