using CloudShards.Sharding;
using Microsoft.Azure.Functions.Worker;
using Microsoft.Extensions.Logging;

namespace CloudShards.Functions.Triggers;

/// <summary>A batch of a large checkpoint: writes its shards, and publishes the checkpoint if it was the last.</summary>
public sealed class ShardBatchQueued(CheckpointPipeline pipeline, ILogger<ShardBatchQueued> log)
{
    [Function("ShardBatch")]
    public async Task RunAsync(
        [QueueTrigger(StorageNames.Batches, Connection = StorageConnection.Setting)] string message, CancellationToken cancellationToken)
    {
        var status = await pipeline.BatchAsync(new BinaryData(message), cancellationToken);
        Log.Handled(log, "ShardBatch", status?.Job, status?.State);
    }
}
