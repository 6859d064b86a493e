using System.Diagnostics;
using System.Diagnostics.Metrics;
using Microsoft.Extensions.Logging;

namespace CloudShards;

/// <summary>What the reads of a checkpoint tell: measurements and traces under the name <c>CloudShards</c>, and a log.</summary>
internal sealed partial class ReadTelemetry(string checkpoint, ILogger logger)
{
    private const string Source = "CloudShards";

    private static readonly ActivitySource Activities = new(Source);
    private static readonly Meter Meter = new(Source);
    private static readonly Counter<long> Bytes =
        Meter.CreateCounter<long>("cloudshards.read.bytes", "By", "Bytes that arrived, by source: store or cache.");
    private static readonly Counter<long> Requests = Meter.CreateCounter<long>("cloudshards.requests", "{request}", "Ranges that the store was asked for.");
    private static readonly Counter<long> Retries =
        Meter.CreateCounter<long>("cloudshards.retries", "{retry}", "Ranges that were asked for again, by reason: throttled, corrupt or broken.");
    private static readonly Counter<long> CorruptChunks =
        Meter.CreateCounter<long>("cloudshards.chunks.corrupt", "{chunk}", "Chunks from the store that were not what their sums say.");
    private static readonly Counter<long> CacheHits = Meter.CreateCounter<long>("cloudshards.cache.hits", "{range}", "Ranges that the cache had.");
    private static readonly Counter<long> CacheMisses = Meter.CreateCounter<long>("cloudshards.cache.misses", "{range}", "Ranges that the cache lacked.");
    private static readonly Counter<long> CacheFailures =
        Meter.CreateCounter<long>("cloudshards.cache.failures", "{failure}", "Failures of the cache, none of which fails a read.");
    private static readonly Histogram<double> QueueTime =
        Meter.CreateHistogram<double>("cloudshards.queue.duration", "s", "How long ranges waited until their request might run.");

    private readonly KeyValuePair<string, object?> _checkpoint = new("cloudshards.checkpoint", checkpoint);
    private int _hasCacheFailed;

    /// <summary>Begins the trace of an operation, if anybody listens; disposing the result ends it.</summary>
    public Activity? Begin(string operation)
    {
        var activity = Activities.StartActivity($"{Source}.{operation}", ActivityKind.Client);
        activity?.SetTag(_checkpoint.Key, _checkpoint.Value);
        return activity;
    }

    /// <summary>The store is asked for a range.</summary>
    public void Request() => Requests.Add(1, _checkpoint);

    /// <summary>A range arrived from the store.</summary>
    public void Arrived(long bytes) => Bytes.Add(bytes, _checkpoint, new("source", "store"));

    /// <summary>A range waited until its request might run.</summary>
    public void Queued(TimeSpan wait) => QueueTime.Record(wait.TotalSeconds, _checkpoint);

    /// <summary>A chunk is wrong and is asked for again.</summary>
    public void ChunkCorrupt(string tensor, int chunk, string blob)
    {
        CorruptChunks.Add(1, _checkpoint);
        Retries.Add(1, _checkpoint, new("reason", "corrupt"));
        LogChunkCorrupt(logger, chunk, tensor, blob);
    }

    /// <summary>An answer broke off, and the rest of it is asked for, of whichever checkpoint it is.</summary>
    public static void Resumed() => Retries.Add(1, new KeyValuePair<string, object?>("reason", "broken"));

    /// <summary>A pack is missing, or is not what the manifest says; its tensors are read from their own shards.</summary>
    public void PackUnusable(string blob, Exception exception) => LogPackUnusable(logger, exception, blob);

    /// <summary>The service refused a range because it is asked too much.</summary>
    public void Throttled(string blob, int status, int limit, TimeSpan delay)
    {
        Retries.Add(1, _checkpoint, new("reason", "throttled"));
        LogThrottled(logger, status, blob, limit, delay.TotalSeconds);
    }

    /// <summary>The cache had a range.</summary>
    public void CacheHit(long bytes)
    {
        CacheHits.Add(1, _checkpoint);
        Bytes.Add(bytes, _checkpoint, new("source", "cache"));
    }

    /// <summary>The cache lacked ranges, or had one wrong.</summary>
    public void CacheMiss(int ranges = 1) => CacheMisses.Add(ranges, _checkpoint);

    /// <summary>The cache had a shard whose bytes are not what the manifest says.</summary>
    public void CacheDamaged(string tensor, string file) => LogCacheDamaged(logger, file, tensor);

    /// <summary>The cache's folder could not be read or written; only the first failure is told.</summary>
    public void CacheFailed(string folder, Exception exception)
    {
        CacheFailures.Add(1, _checkpoint);
        if (Interlocked.Exchange(ref _hasCacheFailed, 1) == 0)
        {
            LogCacheFailed(logger, exception, folder);
        }
    }

    [LoggerMessage(1, LogLevel.Warning, "Chunk {Chunk} of the tensor {Tensor} arrived damaged; {Blob} is asked for it once more.")]
    private static partial void LogChunkCorrupt(ILogger logger, int chunk, string tensor, string blob);

    [LoggerMessage(2, LogLevel.Warning, "The service refused {Blob} with status {Status}: it is asked too much. From now on {Limit} requests run at once; the next attempt is in {Seconds:0.0} s.")]
    private static partial void LogThrottled(ILogger logger, int status, string blob, int limit, double seconds);

    [LoggerMessage(3, LogLevel.Warning, "The cached file {File} of the tensor {Tensor} is damaged. It is deleted, and read from the store.")]
    private static partial void LogCacheDamaged(ILogger logger, string file, string tensor);

    [LoggerMessage(4, LogLevel.Warning, "The cache in {Folder} cannot be used as it should, so more is read from the store. Check its permissions and the space on its disk. Told once.")]
    private static partial void LogCacheFailed(ILogger logger, Exception exception, string folder);

    [LoggerMessage(5, LogLevel.Warning, "The pack {Blob} cannot be used; its tensors are read one by one from their shards, which takes longer. Was it deleted?")]
    private static partial void LogPackUnusable(ILogger logger, Exception exception, string blob);
}
