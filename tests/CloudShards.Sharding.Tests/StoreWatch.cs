using System.Collections.Concurrent;
using System.Runtime.CompilerServices;

namespace CloudShards.Sharding.Tests;

/// <summary>A store that notes what is written to it, as in <c>create tensors/…</c>, and lets a test act first.</summary>
internal sealed class StoreWatch(IShardStore store) : IShardStore
{
    private readonly ConcurrentQueue<string> _writes = [];

    /// <summary>The writes so far, successful or not.</summary>
    public IReadOnlyList<string> Writes => [.. _writes];

    /// <summary>Called with each write before it happens.</summary>
    public Func<string, Task> Writing { get; set; } = _ => Task.CompletedTask;

    /// <summary>Called with each request but a range's read, before it is answered.</summary>
    public Func<string, Task> Asking { get; set; } = _ => Task.CompletedTask;

    public ValueTask ReadAsync(string name, long offset, Memory<byte> destination, CancellationToken cancellationToken) =>
        store.ReadAsync(name, offset, destination, cancellationToken);

    public void Read(string name, long offset, Span<byte> destination, CancellationToken cancellationToken) =>
        store.Read(name, offset, destination, cancellationToken);

    public async ValueTask<StoredDocument?> TryReadDocumentAsync(string name, int maxBytes, CancellationToken cancellationToken)
    {
        await Asking($"document {name}");
        return await store.TryReadDocumentAsync(name, maxBytes, cancellationToken);
    }

    public async ValueTask<StoredBlob?> TryFindAsync(string name, CancellationToken cancellationToken)
    {
        await Asking($"find {name}");
        return await store.TryFindAsync(name, cancellationToken);
    }

    public async IAsyncEnumerable<StoredBlob> ListAsync(string prefix, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        await Asking($"list {prefix}");
        await foreach (var blob in store.ListAsync(prefix, cancellationToken))
        {
            yield return blob;
        }
    }

    public async ValueTask<bool> TryRenewAsync(string name, CancellationToken cancellationToken)
    {
        await NoteAsync($"renew {name}");
        return await store.TryRenewAsync(name, cancellationToken);
    }

    public async ValueTask<bool> TryDeleteAsync(string name, DateTimeOffset unmodifiedSince, CancellationToken cancellationToken)
    {
        await NoteAsync($"delete {name}");
        return await store.TryDeleteAsync(name, unmodifiedSince, cancellationToken);
    }

    public async ValueTask<bool> TryCreateAsync(string name, ReadOnlyMemory<byte> content, CancellationToken cancellationToken)
    {
        await NoteAsync($"create {name}");
        return await store.TryCreateAsync(name, content, cancellationToken);
    }

    public async ValueTask<bool> TryCreateAsync(
        string name, IAsyncEnumerable<ReadOnlyMemory<byte>> blocks, CancellationToken cancellationToken)
    {
        await NoteAsync($"blocks {name}");
        return await store.TryCreateAsync(name, blocks, cancellationToken);
    }

    public async ValueTask<bool> TryReplaceAsync(
        string name, ReadOnlyMemory<byte> content, string? version, CancellationToken cancellationToken)
    {
        await NoteAsync($"replace {name}");
        return await store.TryReplaceAsync(name, content, version, cancellationToken);
    }

    private async Task NoteAsync(string write)
    {
        _writes.Enqueue(write);
        await Asking(write);
        await Writing(write);
    }
}
