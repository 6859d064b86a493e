namespace CloudShards.Sharding;

/// <summary>Sums up what was written, for a job's status. May be told from many threads.</summary>
internal sealed class JobStatusProgress(string name, long shards, long bytes) : IProgress<WrittenShard>
{
    private long _shards;
    private long _bytes;
    private int _created;

    /// <summary>Shards that are done.</summary>
    public long Shards => Interlocked.Read(ref _shards);

    /// <summary>Their bytes.</summary>
    public long Bytes => Interlocked.Read(ref _bytes);

    public void Report(WrittenShard value)
    {
        Interlocked.Increment(ref _shards);
        Interlocked.Add(ref _bytes, value.Sums.Bytes);
        Interlocked.Add(ref _created, value.Created ? 1 : 0);
        ShardingTelemetry.Done(value);
    }

    /// <summary>The status of a job that this worker does alone.</summary>
    public JobStatus Apply(JobStatus status) => status with
    {
        Name = name,
        Shards = new(Shards, shards),
        Bytes = new(Bytes, bytes),
        ShardsCreated = Volatile.Read(ref _created),
    };
}
