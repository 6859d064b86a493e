using System.Collections.Immutable;
using Azure;
using Azure.Storage.Blobs;
using Microsoft.Extensions.Logging;

namespace CloudShards.Sharding;

/// <summary>Writes batches from the uploads' bytes, and publishes what all of them have written.</summary>
internal sealed class CheckpointBatches
{
    private readonly BlobContainerClient _uploads;
    private readonly ShardWriter _writer;
    private readonly CheckpointCommit _commit;
    private readonly JobRuns _runs;
    private readonly ServerSideCopy? _copy;
    private readonly RequestPace _pace;
    private readonly int _lanes;

    public CheckpointBatches(BlobContainerClient uploads, IShardStore shards, JobRuns runs, ShardingOptions options, TimeProvider clock, ILogger log)
    {
        (_uploads, _runs, _lanes) = (uploads, runs, options.Lanes);
        _pace = new(_lanes, clock);
        _copy = options.CopyByService && shards is BlobShardStore blobs ? new(blobs, new(uploads, clock), clock, log) : null;
        _commit = new(shards, new(shards, clock));
        _writer = new(
            shards,
            new() { ChunkBytes = options.ChunkBytes, MaxBufferedBytes = ShardingOptions.BufferedBytes, MaxBuffers = options.Lanes, Clock = clock });
    }

    /// <summary>Opens one version of an upload.</summary>
    /// <exception cref="SourceChangedException">The upload is gone, or has another version by now.</exception>
    public async ValueTask<ICheckpointSource> OpenAsync(string path, ETag etag, CancellationToken cancellationToken) =>
        await BlobCheckpointSource.OpenAsync(_uploads.GetBlobClient(path), etag, cancellationToken).ConfigureAwait(false);

    /// <summary>Writes a batch.</summary>
    public Task<ShardReceipt> WriteAsync(
        ShardBatch batch, ImmutableArray<ICheckpointSource> sources, IProgress<WrittenShard>? progress, CancellationToken cancellationToken) =>
        new BatchWriter(sources, _writer, _copy, _pace, _lanes).WriteAsync(batch, progress, cancellationToken);

    /// <summary>Lets go of the memory that the next batch would use again.</summary>
    public void ReleaseBuffers() => _writer.ReleaseBuffers();

    /// <summary>Writes all batches of a checkpoint and publishes it.</summary>
    /// <param name="planned">The plan.</param>
    /// <param name="files">Its files, in the plan's order.</param>
    /// <param name="cancellationToken">Ends it.</param>
    public async Task<JobStatus> WriteAllAsync(PlannedCheckpoint planned, ImmutableArray<ICheckpointSource> files, CancellationToken cancellationToken)
    {
        var plan = planned.Plan;
        var done = new JobStatusProgress(plan.Name, plan.ShardCount, plan.Bytes);
        await _runs.ReportAsync(plan.Job, done.Apply, cancellationToken).ConfigureAwait(false);
        var receipts = await _runs.ReportWhileAsync(plan.Job, WriteAllAsync(planned.Batches, files, done, cancellationToken), done.Apply, cancellationToken)
            .ConfigureAwait(false);
        return await PublishAsync(plan, planned.Tensors, receipts, files, cancellationToken).ConfigureAwait(false);
    }

    /// <summary>Publishes a checkpoint all of whose batches are written.</summary>
    public async Task<JobStatus> PublishAsync(
        ShardPlan plan,
        PlannedTensors tensors,
        IReadOnlyList<ShardReceipt> receipts,
        ImmutableArray<ICheckpointSource> files,
        CancellationToken cancellationToken)
    {
        var manifest = CheckpointCommit.Compose(plan, tensors, receipts);
        var reference = await _commit.PublishAsync(manifest, files, cancellationToken).ConfigureAwait(false);
        return await _runs.UpdateAsync(
            plan.Job,
            present => present with
            {
                State = JobState.Committed,
                Name = plan.Name,
                Reference = reference.ToString(),
                Shards = new(plan.ShardCount, plan.ShardCount),
                Bytes = new(plan.Bytes, plan.Bytes),
                ShardsCreated = receipts.Sum(receipt => receipt.Shards.Count(shard => shard.Created)),
                Error = null,
                WaitsFor = null,
            },
            cancellationToken).ConfigureAwait(false);
    }

    private async Task<ImmutableArray<ShardReceipt>> WriteAllAsync(
        ImmutableArray<ShardBatch> batches, ImmutableArray<ICheckpointSource> sources, JobStatusProgress done, CancellationToken cancellationToken)
    {
        var receipts = ImmutableArray.CreateBuilder<ShardReceipt>(batches.Length);
        foreach (var batch in batches)
        {
            receipts.Add(await WriteAsync(batch, sources, done, cancellationToken).ConfigureAwait(false));
        }

        return receipts.MoveToImmutable();
    }
}
