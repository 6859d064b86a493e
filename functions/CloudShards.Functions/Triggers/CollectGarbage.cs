using CloudShards.Sharding;
using Microsoft.Azure.Functions.Worker;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;

namespace CloudShards.Functions.Triggers;

/// <summary>Sweeps shards that no manifest names, by the schedule in the setting <c>GarbageSchedule</c> (six fields, as in <c>0 0 3 * * *</c>).</summary>
public sealed class CollectGarbage(ShardGarbage garbage, IOptions<ShardingOptions> options, ILogger<CollectGarbage> log)
{
    [Function(nameof(CollectGarbage))]
    public async Task RunAsync([TimerTrigger("%GarbageSchedule%")] TimerInfo timer, CancellationToken cancellationToken)
    {
        var report = await garbage.CollectAsync(options.Value.GarbageGrace, cancellationToken: cancellationToken);
        Log.Collected(log, report.Shards, report.Bytes, timer.IsPastDue);
    }
}
