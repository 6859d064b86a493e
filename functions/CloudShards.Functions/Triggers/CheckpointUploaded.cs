using CloudShards.Sharding;
using Microsoft.Azure.Functions.Worker;
using Microsoft.Extensions.Logging;

namespace CloudShards.Functions.Triggers;

/// <summary>An upload's event: plans the checkpoint, and shards it here if it is one batch.</summary>
public sealed class CheckpointUploaded(CheckpointPipeline pipeline, ILogger<CheckpointUploaded> log)
{
    [Function(nameof(CheckpointUploaded))]
    public async Task RunAsync(
        [QueueTrigger(StorageNames.Events, Connection = StorageConnection.Setting)] string message, CancellationToken cancellationToken)
    {
        var status = await pipeline.UploadedAsync(new BinaryData(message), cancellationToken);
        Log.Handled(log, nameof(CheckpointUploaded), status.Job, status.State);
    }
}
