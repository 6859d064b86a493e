using System.Collections.Immutable;
using Azure;
using Azure.Storage.Blobs;
using CloudShards.Formats;
using Microsoft.Extensions.Logging;

namespace CloudShards.Sharding;

/// <summary>
/// What the functions call: from an upload's event to a published manifest. Every step may be repeated, by this worker or another, at any time and
/// in any order: what exists is not written again.
/// </summary>
public sealed class CheckpointPipeline
{
    private readonly BlobContainerClient _uploads;
    private readonly ShardingOptions _options;
    private readonly TimeProvider _clock;
    private readonly ILogger _log;
    private readonly ShardWriter _writer;
    private readonly CheckpointCommit _commit;
    private readonly JobStore _jobs;

    /// <summary>A pipeline over three stores.</summary>
    /// <param name="uploads">The container that checkpoints are uploaded to.</param>
    /// <param name="shards">Where shards, manifests and tags go.</param>
    /// <param name="work">Where the documents of jobs go.</param>
    /// <param name="options">How to shard.</param>
    /// <param name="clock">The clock of all times.</param>
    /// <param name="log">Is told of each job's begin and end.</param>
    public CheckpointPipeline(
        BlobContainerClient uploads, IShardStore shards, IShardStore work, ShardingOptions options, TimeProvider clock, ILogger<CheckpointPipeline> log)
    {
        ArgumentNullException.ThrowIfNull(options);
        (_uploads, _options, _clock, _log) = (uploads, options, clock, log);
        _writer = new(shards, new() { ChunkBytes = options.ChunkBytes, MaxBufferedBytes = ShardingOptions.BufferedBytes, MaxBuffers = options.Lanes });
        _commit = new(shards, new(shards, clock));
        _jobs = new(work, clock);
    }

    /// <summary>Shards an upload that an event tells of.</summary>
    /// <param name="message">The event, a CloudEvent.</param>
    /// <param name="cancellationToken">Ends it; what is done stays done.</param>
    /// <returns>The job's final status: a refused or overwritten upload is an end, not an error.</returns>
    /// <exception cref="FormatException">The message is not such an event.</exception>
    public async Task<JobStatus> UploadedAsync(BinaryData message, CancellationToken cancellationToken)
    {
        var upload = Parse(message);
        var status = await BeginAsync(upload, cancellationToken).ConfigureAwait(false);
        if (status.IsFinal)
        {
            Log.Repeated(_log, upload.Path, status.State);
            return status;
        }

        try
        {
            Log.Begun(_log, upload.Path, status.Job);
            status = await ShardAsync(upload, status.Job, cancellationToken).ConfigureAwait(false);
        }
        catch (CheckpointFormatException e)
        {
            status = await EndAsync(status.Job, present => present with { State = JobState.Failed, Error = JobError.Of(e) }, cancellationToken).ConfigureAwait(false);
        }
        catch (SourceChangedException)
        {
            status = await EndAsync(status.Job, present => present with { State = JobState.Superseded, Error = null }, cancellationToken).ConfigureAwait(false);
        }
        catch (Exception e) when (!cancellationToken.IsCancellationRequested)
        {
            // The queue tries again; until then, and should that be the last time, the status says what went wrong.
            await EndAsync(status.Job, present => present with { Error = JobError.Of(e) }, cancellationToken).ConfigureAwait(false);
            throw;
        }

        Log.Ended(_log, upload.Path, status.State, status.Reference ?? status.Error?.Message);
        return status;
    }

    /// <summary>Ends the job of an event that was tried too often: its status says so, and what the last attempt failed of.</summary>
    /// <param name="message">The message of the poison queue.</param>
    /// <param name="cancellationToken">Ends it.</param>
    /// <returns>The final status, or null where the message is not an event of an upload, so that there is no job to end.</returns>
    public async Task<JobStatus?> FailedAsync(BinaryData message, CancellationToken cancellationToken)
    {
        UploadEvent upload;
        try
        {
            upload = Parse(message);
        }
        catch (FormatException e)
        {
            Log.NotAnEvent(_log, e);
            return null;
        }

        var status = await BeginAsync(upload, cancellationToken).ConfigureAwait(false);
        status = await EndAsync(
            status.Job,
            present => present with { State = JobState.Failed, Error = Errors.GaveUp(present.Error) },
            cancellationToken).ConfigureAwait(false);
        Log.GaveUp(_log, upload.Path, status.Job, status.Error?.Message);
        return status;
    }

    /// <summary>How far the sharding of one version of an upload is; null where no event told of it yet.</summary>
    /// <param name="path">The upload's path in its container.</param>
    /// <param name="etag">The version.</param>
    /// <param name="cancellationToken">Ends the read.</param>
    public Task<JobStatus?> TryGetStatusAsync(string path, ETag etag, CancellationToken cancellationToken) =>
        _jobs.TryReadAsync(JobStore.IdOf(path, UploadEvent.TextOf(etag)), cancellationToken);

    private UploadEvent Parse(BinaryData message)
    {
        var upload = UploadEvent.Parse(message);
        return upload.Container == _uploads.Name ? upload : throw Errors.ForeignContainer(upload.Container, _uploads.Name);
    }

    private Task<JobStatus> BeginAsync(UploadEvent upload, CancellationToken cancellationToken)
    {
        var (etag, now) = (UploadEvent.TextOf(upload.ETag), _clock.GetUtcNow());
        var job = JobStore.IdOf(upload.Path, etag);
        return _jobs.UpdateAsync(
            job,
            present => present ?? new() { Job = job, State = JobState.Sharding, Path = upload.Path, ETag = etag, StartedAt = now, UpdatedAt = now },
            cancellationToken);
    }

    private Task<JobStatus> EndAsync(string job, Func<JobStatus, JobStatus> change, CancellationToken cancellationToken) =>
        _jobs.UpdateAsync(job, present => change(present ?? throw Errors.StatusVanished(job)), cancellationToken);

    // Where another worker has the same job, either's progress will do.
    private async Task ReportAsync(string job, JobStatusProgress done, CancellationToken cancellationToken) =>
        await _jobs.TryUpdateAsync(job, present => done.Apply(present ?? throw Errors.StatusVanished(job)), cancellationToken).ConfigureAwait(false);

    private async Task<JobStatus> ShardAsync(UploadEvent upload, string job, CancellationToken cancellationToken)
    {
        var name = CheckpointName.FromUpload(upload.Path);
        var source = await BlobCheckpointSource.OpenAsync(_uploads.GetBlobClient(upload.Path), upload.ETag, cancellationToken).ConfigureAwait(false);
        var description = await CheckpointProbe.DescribeAsync(source, _options.Limits, cancellationToken).ConfigureAwait(false);
        var plan = ShardPlanner.Plan(job, name, upload.Path, source.Length, description, _options);
        var receipts = await WriteBatchesAsync(plan, source, cancellationToken).ConfigureAwait(false);
        var manifest = CheckpointCommit.Compose(plan, receipts);
        var reference = await _commit.PublishAsync(manifest, source, cancellationToken).ConfigureAwait(false);
        return await EndAsync(
            job,
            present => present with { State = JobState.Committed, Reference = reference.ToString(), Error = null },
            cancellationToken).ConfigureAwait(false);
    }

    private async Task<ImmutableArray<ShardReceipt>> WriteBatchesAsync(ShardPlan plan, ICheckpointSource source, CancellationToken cancellationToken)
    {
        var batches = new BatchWriter(source, _writer, _options);
        var receipts = ImmutableArray.CreateBuilder<ShardReceipt>(plan.Batches.Length);
        var bytes = Enumerable.Range(0, plan.Shards.Length).Sum(shard => plan.TensorOf(shard).Bytes);
        var done = new JobStatusProgress(plan.Name, plan.Shards.Length, bytes);
        await ReportAsync(plan.Job, done, cancellationToken).ConfigureAwait(false);
        foreach (var batch in plan.Batches)
        {
            receipts.Add(await batches.WriteAsync(plan, batch, done, cancellationToken).ConfigureAwait(false));
            await ReportAsync(plan.Job, done, cancellationToken).ConfigureAwait(false);
        }

        return receipts.MoveToImmutable();
    }
}
