using CloudShards.Formats;
using static TorchSharp.torch;

namespace CloudShards.Tests;

/// <summary>A store in a folder of its own that notes what is asked of it; deleted with the object.</summary>
public sealed class Folder : IShardStore, IDisposable
{
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("cloudshards-");
    private readonly DirectoryShardStore _store;
    private readonly Lock _turn = new();
    private readonly List<string> _read = [];
    private readonly List<string> _created = [];

    public Folder() => _store = new(_folder.FullName);

    /// <summary>Runs before each read of a shard.</summary>
    public Action BeforeRead { get; set; } = () => { };

    /// <summary>The shards read since the last call.</summary>
    public IReadOnlyList<string> TakeRead() => Take(_read);

    /// <summary>The shards and manifests that were not there and were created since the last call.</summary>
    public IReadOnlyList<string> TakeCreated() => Take(_created);

    public async Task<ShardedCheckpoint> SaveAsync(nn.Module module, string name = "model", CheckpointWriterOptions? options = null)
    {
        var reference = await module.SaveShardsToAsync(
            this, name, options: options, cancellationToken: TestContext.Current.CancellationToken);
        return await OpenAsync(reference.ToString());
    }

    public Task<ShardedCheckpoint> OpenAsync(string reference, ShardedCheckpointOptions? options = null) =>
        ShardedCheckpoint.OpenFromAsync(this, reference, options, TestContext.Current.CancellationToken);

    public string PathOf(Digest shard) => Path.Combine(_folder.FullName, StoreLayout.Shard(shard));

    public async ValueTask ReadAsync(string name, long offset, Memory<byte> destination, CancellationToken cancellationToken)
    {
        Note(_read, name);
        BeforeRead();
        await _store.ReadAsync(name, offset, destination, cancellationToken);
    }

    public async ValueTask ReadAsync(string name, long offset, int length, Action<ReadOnlySpan<byte>> take, CancellationToken cancellationToken)
    {
        Note(_read, name);
        BeforeRead();
        await _store.ReadAsync(name, offset, length, take, cancellationToken);
    }

    public void Read(string name, long offset, Span<byte> destination, CancellationToken cancellationToken)
    {
        Note(_read, name);
        BeforeRead();
        _store.Read(name, offset, destination, cancellationToken);
    }

    public ValueTask<StoredDocument?> TryReadDocumentAsync(string name, int maxBytes, CancellationToken cancellationToken) =>
        _store.TryReadDocumentAsync(name, maxBytes, cancellationToken);

    public ValueTask<StoredBlob?> TryFindAsync(string name, CancellationToken cancellationToken) =>
        _store.TryFindAsync(name, cancellationToken);

    public IAsyncEnumerable<StoredBlob> ListAsync(string prefix, CancellationToken cancellationToken) => _store.ListAsync(prefix, cancellationToken);

    public ValueTask<bool> TryRenewAsync(string name, CancellationToken cancellationToken) => _store.TryRenewAsync(name, cancellationToken);

    public ValueTask<bool> TryDeleteAsync(string name, DateTimeOffset unmodifiedSince, CancellationToken cancellationToken) =>
        _store.TryDeleteAsync(name, unmodifiedSince, cancellationToken);

    public async ValueTask<bool> TryCreateAsync(string name, ReadOnlyMemory<byte> content, CancellationToken cancellationToken) =>
        NoteIf(await _store.TryCreateAsync(name, content, cancellationToken), name);

    public async ValueTask<bool> TryCreateAsync(
        string name, IAsyncEnumerable<ReadOnlyMemory<byte>> blocks, CancellationToken cancellationToken) =>
        NoteIf(await _store.TryCreateAsync(name, blocks, cancellationToken), name);

    public ValueTask<bool> TryReplaceAsync(
        string name, ReadOnlyMemory<byte> content, string? version, CancellationToken cancellationToken) =>
        _store.TryReplaceAsync(name, content, version, cancellationToken);

    public void Dispose() => _folder.Delete(recursive: true);

    private bool NoteIf(bool isNew, string name)
    {
        if (isNew)
        {
            Note(_created, name);
        }

        return isNew;
    }

    private void Note(List<string> names, string name)
    {
        lock (_turn)
        {
            names.Add(name);
        }
    }

    private List<string> Take(List<string> names)
    {
        lock (_turn)
        {
            List<string> taken = [.. names];
            names.Clear();
            return taken;
        }
    }
}
