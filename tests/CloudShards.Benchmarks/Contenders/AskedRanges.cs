using System.Collections.Concurrent;

namespace CloudShards.Benchmarks.Contenders;

/// <summary>A store that answers reads with nothing and notes them: so the requests are known that the SDK would make.</summary>
/// <param name="store">Has the manifest.</param>
internal sealed class AskedRanges(IShardStore store) : IShardStore
{
    private readonly ConcurrentQueue<(string Blob, long Offset, int Length)> _ranges = [];

    /// <summary>What was asked for.</summary>
    public IEnumerable<(string Blob, long Offset, int Length)> Ranges => _ranges;

    public ValueTask ReadAsync(string name, long offset, Memory<byte> destination, CancellationToken cancellationToken)
    {
        _ranges.Enqueue((name, offset, destination.Length));
        return ValueTask.CompletedTask;
    }

    public ValueTask<StoredDocument?> TryReadDocumentAsync(string name, int maxBytes, CancellationToken cancellationToken) =>
        store.TryReadDocumentAsync(name, maxBytes, cancellationToken);

    public void Read(string name, long offset, Span<byte> destination, CancellationToken cancellationToken) => throw new NotSupportedException();

    public ValueTask<StoredBlob?> TryFindAsync(string name, CancellationToken cancellationToken) => throw new NotSupportedException();

    public IAsyncEnumerable<StoredBlob> ListAsync(string prefix, CancellationToken cancellationToken) => throw new NotSupportedException();

    public ValueTask<bool> TryCreateAsync(string name, ReadOnlyMemory<byte> content, CancellationToken cancellationToken) => throw new NotSupportedException();

    public ValueTask<bool> TryCreateAsync(string name, IAsyncEnumerable<ReadOnlyMemory<byte>> blocks, CancellationToken cancellationToken) =>
        throw new NotSupportedException();

    public ValueTask<bool> TryReplaceAsync(string name, ReadOnlyMemory<byte> content, string? version, CancellationToken cancellationToken) =>
        throw new NotSupportedException();

    public ValueTask<bool> TryRenewAsync(string name, CancellationToken cancellationToken) => throw new NotSupportedException();

    public ValueTask<bool> TryDeleteAsync(string name, DateTimeOffset unmodifiedSince, CancellationToken cancellationToken) => throw new NotSupportedException();
}
