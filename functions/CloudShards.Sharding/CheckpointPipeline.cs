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
    private readonly UploadSets _sets;

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
        _sets = new(uploads, options.Limits);
    }

    /// <summary>Shards an upload that an event tells of.</summary>
    /// <param name="message">The event, a CloudEvent.</param>
    /// <param name="cancellationToken">Ends it; what is done stays done.</param>
    /// <returns>
    /// The job's status. It is final, since a refused or overwritten upload is an end and not an error; or it waits for the rest of a set, whose
    /// own events will go on.
    /// </returns>
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

        Log.Begun(_log, upload.Path, status.Job);
        status = await RunAsync(status.Job, () => ShardAsync(upload, status.Job, cancellationToken), cancellationToken).ConfigureAwait(false);
        Log.Ended(_log, upload.Path, status.State, status.Reference ?? status.Error?.Message ?? "");
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
        status = await UpdateAsync(
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

    private Task<JobStatus> BeginAsync(UploadEvent upload, CancellationToken cancellationToken) =>
        BeginAsync(JobStore.IdOf(upload.Path, UploadEvent.TextOf(upload.ETag)), upload.Path, UploadEvent.TextOf(upload.ETag), cancellationToken);

    private Task<JobStatus> BeginAsync(string job, string path, string etag, CancellationToken cancellationToken)
    {
        var now = _clock.GetUtcNow();
        return _jobs.UpdateAsync(
            job,
            present => present ?? new() { Job = job, State = JobState.Sharding, Path = path, ETag = etag, StartedAt = now, UpdatedAt = now },
            cancellationToken);
    }

    private Task<JobStatus> UpdateAsync(string job, Func<JobStatus, JobStatus> change, CancellationToken cancellationToken) =>
        _jobs.UpdateAsync(job, present => change(present ?? throw Errors.StatusVanished(job)), cancellationToken);

    // Where another worker has the same job, either's progress will do.
    private async Task ReportAsync(string job, JobStatusProgress done, CancellationToken cancellationToken) =>
        await _jobs.TryUpdateAsync(job, present => done.Apply(present ?? throw Errors.StatusVanished(job)), cancellationToken).ConfigureAwait(false);

    private async Task<JobStatus> ShardAsync(UploadEvent upload, string job, CancellationToken cancellationToken)
    {
        var name = CheckpointName.FromUpload(upload.Path);
        var source = await OpenAsync(upload.Path, upload.ETag, cancellationToken).ConfigureAwait(false);
        switch (await _sets.FindAsync(upload.Path, cancellationToken).ConfigureAwait(false))
        {
            case null:
                var files = await CheckpointFiles.ReadFileAsync(source, _options.Limits, cancellationToken).ConfigureAwait(false);
                return await ShardAsync(job, name, files, cancellationToken).ConfigureAwait(false);
            case { Missing: { IsEmpty: false } missing }:
                Log.Waits(_log, upload.Path, string.Join(", ", missing));
                return await UpdateAsync(
                    job,
                    present => present with { State = JobState.Waiting, Name = name, WaitsFor = missing },
                    cancellationToken).ConfigureAwait(false);
            case var set:
                return await ShardSetAsync(set, name, cancellationToken).ConfigureAwait(false);
        }
    }

    // The event of each file may find the set complete: all of them meet one job, named by the versions of all files, and mirror it.
    private async Task<JobStatus> ShardSetAsync(UploadSet set, string name, CancellationToken cancellationToken)
    {
        var index = set.Index!;
        var status = await BeginAsync(JobStore.IdOf(set.Members), index.Path, index.ETag, cancellationToken).ConfigureAwait(false);
        if (!status.IsFinal)
        {
            status = await RunAsync(
                status.Job,
                async () => await ShardAsync(status.Job, name, await ReadAsync(set, cancellationToken).ConfigureAwait(false), cancellationToken).ConfigureAwait(false),
                cancellationToken).ConfigureAwait(false);
        }

        foreach (var (path, etag) in set.Members)
        {
            await _jobs.MirrorAsync(status, JobStore.IdOf(path, etag), path, etag, cancellationToken).ConfigureAwait(false);
        }

        return status;
    }

    private Task<CheckpointFiles> ReadAsync(UploadSet set, CancellationToken cancellationToken)
    {
        var versions = set.Present.ToDictionary(file => file.Path[(file.Path.LastIndexOf('/') + 1)..], StringComparer.Ordinal);
        return CheckpointFiles.ReadSetAsync(
            set.Index!,
            async (file, token) => await OpenAsync(versions[file].Path, versions[file].ETag, token).ConfigureAwait(false),
            _options.Limits,
            cancellationToken);
    }

    // A refused or overwritten upload ends its job; anything else is tried again.
    private async Task<JobStatus> RunAsync(string job, Func<Task<JobStatus>> work, CancellationToken cancellationToken)
    {
        try
        {
            return await work().ConfigureAwait(false);
        }
        catch (CheckpointFormatException e)
        {
            return await UpdateAsync(job, present => present with { State = JobState.Failed, Error = JobError.Of(e) }, cancellationToken).ConfigureAwait(false);
        }
        catch (SourceChangedException)
        {
            return await UpdateAsync(job, present => present with { State = JobState.Superseded, Error = null }, cancellationToken).ConfigureAwait(false);
        }
        catch (Exception e) when (!cancellationToken.IsCancellationRequested)
        {
            // The queue tries again; until then, and should that be the last time, the status says what went wrong.
            await UpdateAsync(job, present => present with { Error = JobError.Of(e) }, cancellationToken).ConfigureAwait(false);
            throw;
        }
    }

    private async Task<JobStatus> ShardAsync(string job, string name, CheckpointFiles files, CancellationToken cancellationToken)
    {
        var plan = ShardPlanner.Plan(job, name, files.Sources.Select(source => (source.Path, source.Length)), files.Description, _options);
        var receipts = await WriteBatchesAsync(plan, files, cancellationToken).ConfigureAwait(false);
        var reference = await _commit.PublishAsync(CheckpointCommit.Compose(plan, receipts), [.. files.All], cancellationToken).ConfigureAwait(false);
        return await UpdateAsync(
            job,
            present => present with { State = JobState.Committed, Reference = reference.ToString(), Error = null, WaitsFor = null },
            cancellationToken).ConfigureAwait(false);
    }

    private async Task<ImmutableArray<ShardReceipt>> WriteBatchesAsync(ShardPlan plan, CheckpointFiles files, CancellationToken cancellationToken)
    {
        var batches = new BatchWriter(files.Sources, _writer, _options);
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

    private async ValueTask<ICheckpointSource> OpenAsync(string path, ETag etag, CancellationToken cancellationToken) =>
        await BlobCheckpointSource.OpenAsync(_uploads.GetBlobClient(path), etag, cancellationToken).ConfigureAwait(false);
}
