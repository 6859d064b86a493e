using System.Collections.Concurrent;
using CloudShards.Formats;

namespace CloudShards;

/// <summary>The shards that one call is writing to the cache. What is unfinished when the call ends is removed.</summary>
internal sealed class CacheFills(ShardCache cache, CancellationToken cancellationToken) : IDisposable
{
    private readonly ConcurrentDictionary<CacheFill, bool> _open = [];

    /// <summary>Begins to write a shard in pieces; null where it is not to be kept.</summary>
    public CacheFill? TryBegin(ShardedTensor tensor)
    {
        var fill = cache.TryBegin(tensor, cancellationToken);
        if (fill is not null)
        {
            _open.TryAdd(fill, true);
        }

        return fill;
    }

    /// <summary>Keeps a shard that was written in pieces.</summary>
    public void Complete(CacheFill fill)
    {
        _open.TryRemove(fill, out _);
        fill.Complete();
    }

    public void Dispose()
    {
        foreach (var fill in _open.Keys)
        {
            fill.Dispose();
        }
    }
}
