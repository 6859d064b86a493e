using System.Collections.Concurrent;
using CloudShards.Formats;

namespace CloudShards;

/// <summary>The shards that one call is writing to the cache. What is unfinished when the call ends is removed.</summary>
internal sealed class CacheFills(ShardCache cache, CancellationToken cancellationToken) : IAsyncDisposable
{
    private readonly ConcurrentDictionary<CacheFill, bool> _open = [];

    /// <summary>Begins to write a shard in pieces; null where it is not to be kept.</summary>
    public async Task<CacheFill?> TryBeginAsync(ShardedTensor tensor)
    {
        var fill = await cache.TryBeginAsync(tensor, cancellationToken).ConfigureAwait(false);
        if (fill is not null)
        {
            _open.TryAdd(fill, true);
        }

        return fill;
    }

    /// <summary>Writes a piece; pieces may come in any order and at once, each once.</summary>
    public static ValueTask WriteAsync(CacheFill fill, long offset, ReadOnlyMemory<byte> piece) =>
        DiskThreads.RunAsync(() => fill.Write(offset, piece.Span), CancellationToken.None);

    /// <summary>Keeps a shard that was written in pieces.</summary>
    public ValueTask CompleteAsync(CacheFill fill)
    {
        _open.TryRemove(fill, out _);
        return DiskThreads.RunAsync(fill.Complete, CancellationToken.None);
    }

    /// <summary>Keeps a shard of which all bytes are at hand.</summary>
    public async ValueTask KeepAsync(ShardedTensor tensor, ReadOnlyMemory<byte> content)
    {
        if (await cache.TryBeginAsync(tensor, cancellationToken).ConfigureAwait(false) is { } fill)
        {
            await DiskThreads.RunAsync(
                () =>
                {
                    fill.Write(0, content.Span);
                    fill.Complete();
                },
                CancellationToken.None).ConfigureAwait(false);
        }
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var fill in _open.Keys)
        {
            await DiskThreads.RunAsync(fill.Dispose, CancellationToken.None).ConfigureAwait(false);
        }
    }
}
