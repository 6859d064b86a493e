using System.Collections.Concurrent;

namespace CloudShards.Tests;

/// <summary>A store that notes what is asked of it and lets a test do something before and after a read.</summary>
internal sealed class RecordingStore(IShardStore store) : IShardStore
{
    private readonly Lock _turn = new();
    private int _reads;

    /// <summary>The most ranges that were read at once.</summary>
    public int MostReadsAtOnce { get; private set; }

    /// <summary>What was asked, as in <c>read tensors/… 0+100</c>.</summary>
    public ConcurrentQueue<string> Requests { get; } = [];

    /// <summary>Called before a range is read.</summary>
    public Func<CancellationToken, Task> Reading { get; set; } = _ => Task.CompletedTask;

    /// <summary>Called with a range's offset and its bytes, which it may change.</summary>
    public RangeRead Read { get; set; } = (_, _) => { };

    /// <summary>Called for each block of a blob that is created from blocks.</summary>
    public Action<ReadOnlyMemory<byte>> Block { get; set; } = _ => { };

    /// <summary>Called before a blob is replaced.</summary>
    public Func<Task> Replacing { get; set; } = () => Task.CompletedTask;

    /// <summary>Called before a blob is renewed.</summary>
    public Func<string, Task> Renewing { get; set; } = _ => Task.CompletedTask;

    public int Count(string kind) => Requests.Count(request => request.StartsWith(kind + " ", StringComparison.Ordinal));

    public async ValueTask ReadAsync(string name, long offset, Memory<byte> destination, CancellationToken cancellationToken)
    {
        Requests.Enqueue($"read {name} {offset}+{destination.Length}");
        lock (_turn)
        {
            MostReadsAtOnce = Math.Max(MostReadsAtOnce, ++_reads);
        }

        try
        {
            await Reading(cancellationToken);
            await store.ReadAsync(name, offset, destination, cancellationToken);
            Read(offset, destination.Span);
        }
        finally
        {
            lock (_turn)
            {
                _reads--;
            }
        }
    }

    void IShardStore.Read(string name, long offset, Span<byte> destination, CancellationToken cancellationToken)
    {
        Requests.Enqueue($"read {name} {offset}+{destination.Length}");
        store.Read(name, offset, destination, cancellationToken);
        Read(offset, destination);
    }

    public ValueTask<StoredDocument?> TryReadDocumentAsync(string name, int maxBytes, CancellationToken cancellationToken)
    {
        Requests.Enqueue($"document {name}");
        return store.TryReadDocumentAsync(name, maxBytes, cancellationToken);
    }

    public ValueTask<StoredBlob?> TryFindAsync(string name, CancellationToken cancellationToken)
    {
        Requests.Enqueue($"length {name}");
        return store.TryFindAsync(name, cancellationToken);
    }

    public IAsyncEnumerable<StoredBlob> ListAsync(string prefix, CancellationToken cancellationToken) => store.ListAsync(prefix, cancellationToken);

    public async ValueTask<bool> TryRenewAsync(string name, CancellationToken cancellationToken)
    {
        Requests.Enqueue($"renew {name}");
        await Renewing(name);
        return await store.TryRenewAsync(name, cancellationToken);
    }

    public ValueTask<bool> TryDeleteAsync(string name, DateTimeOffset unmodifiedSince, CancellationToken cancellationToken) =>
        store.TryDeleteAsync(name, unmodifiedSince, cancellationToken);

    public ValueTask<bool> TryCreateAsync(string name, ReadOnlyMemory<byte> content, CancellationToken cancellationToken)
    {
        Requests.Enqueue($"create {name}");
        return store.TryCreateAsync(name, content, cancellationToken);
    }

    public ValueTask<bool> TryCreateAsync(string name, IAsyncEnumerable<ReadOnlyMemory<byte>> blocks, CancellationToken cancellationToken)
    {
        Requests.Enqueue($"blocks {name}");
        return store.TryCreateAsync(name, Watched(blocks), cancellationToken);
    }

    public async ValueTask<bool> TryReplaceAsync(
        string name, ReadOnlyMemory<byte> content, string? version, CancellationToken cancellationToken)
    {
        Requests.Enqueue($"replace {name}");
        await Replacing();
        return await store.TryReplaceAsync(name, content, version, cancellationToken);
    }

    private async IAsyncEnumerable<ReadOnlyMemory<byte>> Watched(IAsyncEnumerable<ReadOnlyMemory<byte>> blocks)
    {
        await foreach (var block in blocks)
        {
            Block(block);
            yield return block;
        }
    }

    internal delegate void RangeRead(long offset, Span<byte> content);
}
