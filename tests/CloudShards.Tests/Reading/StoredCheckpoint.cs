using CloudShards.Formats;

namespace CloudShards.Tests;

/// <summary>A checkpoint <c>team/model</c> in a folder, and the store that it is read from.</summary>
public sealed class StoredCheckpoint : IAsyncLifetime
{
    public const int ChunkBytes = 1_000;

    private readonly TemporaryFolder _folder = new();

    public Dictionary<string, byte[]> Contents { get; } = [];

    public CheckpointReference Reference { get; private set; } = null!;

    internal IShardStore Folder => new DirectoryShardStore(_folder.Path);

    internal RecordingStore Store => field ??= new(Folder);

    public async ValueTask InitializeAsync()
    {
        var writer = new CheckpointWriter(Folder, "team/model", new() { ChunkBytes = ChunkBytes });
        foreach (var (name, shape) in new (string, TensorShape)[]
        {
            ("embed.weight", [1_000, 10]), ("norm.weight", [7]), ("empty", [0, 5]), ("scale", []), ("head.weight", [125, 4]),
        })
        {
            var content = Contents[name] = new byte[shape.ByteCount(TensorDType.BF16)];
            new Random(content.Length).NextBytes(content);
            await writer.WriteTensorAsync(name, TensorDType.BF16, shape, content, TestContext.Current.CancellationToken);
        }

        Reference = await writer.PublishAsync("prod", TestContext.Current.CancellationToken);
    }

    public ValueTask DisposeAsync()
    {
        _folder.Dispose();
        return ValueTask.CompletedTask;
    }

    public Task<ShardedCheckpoint> OpenAsync(ShardedCheckpointOptions? options = null) =>
        ShardedCheckpoint.OpenFromAsync(Store, "team/model:prod", options, TestContext.Current.CancellationToken);

    /// <summary>The file of a blob.</summary>
    public string FileOf(string blob) => Path.Combine([_folder.Path, .. blob.Split('/')]);
}
