using System.Collections.Immutable;
using Azure;
using Azure.Storage.Blobs;
using CloudShards.Formats;
using Microsoft.Extensions.Logging;

namespace CloudShards.Sharding;

/// <summary>Writes batches from the uploads' bytes, and publishes what all of them have written.</summary>
internal sealed class CheckpointBatches
{
    private const int MaxProbes = 16;

    private readonly BlobContainerClient _uploads;
    private readonly ShardWriter _writer;
    private readonly CheckpointCommit _commit;
    private readonly JobRuns _runs;
    private readonly ServerSideCopy? _copy;
    private readonly RequestPace _pace;
    private readonly int _lanes;
    private readonly TimeProvider _clock;

    public CheckpointBatches(BlobContainerClient uploads, IShardStore shards, JobRuns runs, ShardingOptions options, TimeProvider clock, ILogger log)
    {
        (_uploads, _runs, _lanes, _clock) = (uploads, runs, options.Lanes, clock);
        _pace = new(_lanes, clock);
        _copy = options.CopyByService && shards is BlobShardStore blobs ? new(blobs, new(uploads, clock), clock, log) : null;
        _commit = new(shards, new(shards, clock));
        _writer = new(shards, new() { ChunkBytes = options.ChunkBytes, BufferBytes = options.BufferBytes, Clock = clock });
    }

    /// <summary>Opens one version of an upload.</summary>
    /// <exception cref="SourceChangedException">The upload is gone, or has another version by now.</exception>
    public async ValueTask<BlobCheckpointSource> OpenAsync(string path, ETag etag, CancellationToken cancellationToken) =>
        await BlobCheckpointSource.OpenAsync(_uploads.GetBlobClient(path), etag, cancellationToken).ConfigureAwait(false);

    /// <summary>Writes a batch.</summary>
    public async Task<ShardReceipt> WriteAsync(
        string job, ShardBatch batch, ImmutableArray<ICheckpointSource> sources, IProgress<WrittenShard> progress, CancellationToken cancellationToken)
    {
        using var activity = ShardingTelemetry.Begin("Batch", job);
        var begun = _clock.GetTimestamp();
        var receipt = await new BatchWriter(sources, _writer, _copy, _pace, _lanes).WriteAsync(batch, progress, cancellationToken).ConfigureAwait(false);
        ShardingTelemetry.BatchDone(_clock.GetElapsedTime(begun));
        return receipt;
    }

    /// <summary>Finds what of a batch that was written is no longer in the store. What is there is renewed where it must be.</summary>
    /// <returns>A batch of that alone; an empty one where nothing is missing.</returns>
    public async Task<ShardBatch> FindMissingAsync(ShardBatch batch, ShardReceipt receipt, CancellationToken cancellationToken)
    {
        batch = batch with { Packs = [.. receipt.Packs.Select(pack => pack.Shards)] };
        var (shards, packs) = (new bool[batch.Shards.Length], new bool[batch.Packs.Length]);
        var parallel = new ParallelOptions { MaxDegreeOfParallelism = MaxProbes, CancellationToken = cancellationToken };
        await Parallel.ForAsync(0, shards.Length, parallel, async (i, token) => shards[i] = !await InTurnAsync(
            turn => _writer.ExistsAsync(new ShardSums(receipt.Shards[i].Digest, receipt.Shards[i].Chunks, batch.Shards[i].Bytes), turn), token).ConfigureAwait(false))
            .ConfigureAwait(false);
        await Parallel.ForAsync(0, packs.Length, parallel, async (i, token) => packs[i] = !await InTurnAsync(
            turn => _writer.PackExistsAsync(receipt.Packs[i].Digest, batch.BytesOf(batch.Packs[i]), turn), token).ConfigureAwait(false)).ConfigureAwait(false);
        return batch.Only(shards, packs);
    }

    /// <summary>Does a piece of work when the pace allows it. It may be done again from its start, where the service is asked too much.</summary>
    public Task<T> InTurnAsync<T>(Func<CancellationToken, Task<T>> work, CancellationToken cancellationToken) => _pace.RunAsync(work, cancellationToken);

    /// <summary>As <see cref="InTurnAsync{T}"/>, for work without a result.</summary>
    public Task InTurnAsync(Func<CancellationToken, Task> work, CancellationToken cancellationToken) => _pace.RunAsync(work, cancellationToken);

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
        var receipts = await _runs.ReportWhileAsync(plan.Job, WriteAllAsync(planned, files, done, cancellationToken), done.Apply, cancellationToken)
            .ConfigureAwait(false);
        var manifest = ManifestComposition.Compose(plan, planned.Tensors, receipts);
        return await PublishAsync(plan, manifest, receipts.Sum(receipt => receipt.Created), files, cancellationToken).ConfigureAwait(false);
    }

    /// <summary>Publishes a checkpoint all of whose batches are written.</summary>
    /// <param name="plan">The plan.</param>
    /// <param name="manifest">What the plan and the batches' receipts say together.</param>
    /// <param name="created">How many shards the batches created.</param>
    /// <param name="files">The upload's files.</param>
    /// <param name="cancellationToken">Ends it.</param>
    public async Task<JobStatus> PublishAsync(
        ShardPlan plan, ShardManifest manifest, int created, ImmutableArray<ICheckpointSource> files, CancellationToken cancellationToken)
    {
        using var activity = ShardingTelemetry.Begin("Commit", plan.Job);

        // Somebody may have given the job up meanwhile: then it does not move the tag.
        var reference = await InTurnAsync(
            turn => _commit.PublishAsync(manifest, files, token => _runs.EnsureOpenAsync(plan.Job, token), turn), cancellationToken).ConfigureAwait(false);
        return await _runs.UpdateAsync(
            plan.Job,
            present => present with
            {
                State = JobState.Committed,
                Name = plan.Name,
                Reference = reference.ToString(),
                Shards = new(plan.ShardCount, plan.ShardCount),
                Bytes = new(plan.Bytes, plan.Bytes),
                ShardsCreated = created,
                Error = null,
                WaitsFor = null,
                WaitsForCount = null,
            },
            cancellationToken).ConfigureAwait(false);
    }

    private async Task<ImmutableArray<ShardReceipt>> WriteAllAsync(
        PlannedCheckpoint planned, ImmutableArray<ICheckpointSource> sources, JobStatusProgress done, CancellationToken cancellationToken)
    {
        var receipts = ImmutableArray.CreateBuilder<ShardReceipt>(planned.Batches.Length);
        foreach (var batch in planned.Batches)
        {
            receipts.Add(await WriteAsync(planned.Plan.Job, batch, sources, done, cancellationToken).ConfigureAwait(false));
        }

        return receipts.MoveToImmutable();
    }
}
