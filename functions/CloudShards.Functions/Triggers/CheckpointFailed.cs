using CloudShards.Sharding;
using Microsoft.Azure.Functions.Worker;
using Microsoft.Extensions.Logging;

namespace CloudShards.Functions.Triggers;

/// <summary>Messages of either queue that were tried too often: their job's status says what failed and what to do.</summary>
public sealed class CheckpointFailed(CheckpointPipeline pipeline, ILogger<CheckpointFailed> log)
{
    [Function(nameof(CheckpointFailed))]
    public async Task EventAsync(
        [QueueTrigger(StorageNames.Events + StorageNames.PoisonSuffix, Connection = StorageConnection.Setting)] string message,
        CancellationToken cancellationToken)
    {
        var status = await pipeline.FailedAsync(new BinaryData(message), cancellationToken);
        Log.Handled(log, nameof(CheckpointFailed), status?.Job, status?.State);
    }

    [Function("BatchFailed")]
    public async Task BatchAsync(
        [QueueTrigger(StorageNames.Batches + StorageNames.PoisonSuffix, Connection = StorageConnection.Setting)] string message,
        CancellationToken cancellationToken)
    {
        var status = await pipeline.BatchFailedAsync(new BinaryData(message), cancellationToken);
        Log.Handled(log, "BatchFailed", status?.Job, status?.State);
    }
}
