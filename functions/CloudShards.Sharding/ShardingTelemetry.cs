using System.Diagnostics;
using System.Diagnostics.Metrics;

namespace CloudShards.Sharding;

/// <summary>What the pipeline tells: measurements and traces under the name <c>CloudShards.Sharding</c>.</summary>
public static class ShardingTelemetry
{
    /// <summary>The name of the activity source and of the meter.</summary>
    public const string Name = "CloudShards.Sharding";

    private static readonly ActivitySource Activities = new(Name);
    private static readonly Meter Meter = new(Name);
    private static readonly Counter<long> Jobs = Meter.CreateCounter<long>("cloudshards.jobs", "{job}", "Jobs that ended, by state: committed, superseded or failed.");
    private static readonly Counter<long> Shards = Meter.CreateCounter<long>("cloudshards.shards", "{shard}", "Shards that were written, or found in place, by outcome.");
    private static readonly Counter<long> ShardBytes = Meter.CreateCounter<long>("cloudshards.shards.bytes", "By", "Their bytes, by outcome.");
    private static readonly Counter<long> CopiedBytes =
        Meter.CreateCounter<long>("cloudshards.copied.bytes", "By", "Bytes of written shards that the storage service copied itself.");
    private static readonly Counter<long> Throttling =
        Meter.CreateCounter<long>("cloudshards.throttled", "{refusal}", "Pieces of work that the storage service refused because it is asked too much.");
    private static readonly Histogram<double> BatchTime = Meter.CreateHistogram<double>("cloudshards.batch.duration", "s", "How long a batch took.");

    /// <summary>Begins the trace of a step, if anybody listens; disposing the result ends it.</summary>
    internal static Activity? Begin(string step, string job)
    {
        var activity = Activities.StartActivity($"{Name}.{step}");
        activity?.SetTag("cloudshards.job", job);
        return activity;
    }

    /// <summary>A job's status was written.</summary>
    internal static void Changed(JobStatus status)
    {
        if (status.IsFinal)
        {
            Jobs.Add(1, Outcome(status.State switch
            {
                JobState.Committed => "committed",
                JobState.Superseded => "superseded",
                _ => "failed",
            }));
        }
    }

    /// <summary>A shard is in the store.</summary>
    internal static void Done(WrittenShard shard)
    {
        var outcome = Outcome(shard.Created ? "written" : "found");
        Shards.Add(1, outcome);
        ShardBytes.Add(shard.Sums.Bytes, outcome);
    }

    /// <summary>The service has copied a shard.</summary>
    internal static void Copied(long bytes) => CopiedBytes.Add(bytes);

    /// <summary>The service is asked too much.</summary>
    internal static void Throttled() => Throttling.Add(1);

    /// <summary>A batch is written.</summary>
    internal static void BatchDone(TimeSpan duration) => BatchTime.Record(duration.TotalSeconds);

    private static KeyValuePair<string, object?> Outcome(string outcome) => new("outcome", outcome);
}
