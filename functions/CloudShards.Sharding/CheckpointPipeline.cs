using Azure;
using Azure.Storage.Blobs;
using Azure.Storage.Queues;
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
    private readonly ILogger _log;
    private readonly JobStore _jobs;
    private readonly JobRuns _runs;
    private readonly UploadSets _sets;
    private readonly CheckpointBatches _batches;
    private readonly BatchDispatch? _dispatch;

    /// <summary>A pipeline over three stores and a queue.</summary>
    /// <param name="uploads">The container that checkpoints are uploaded to.</param>
    /// <param name="shards">Where shards, manifests and tags go.</param>
    /// <param name="work">Where the documents of jobs go.</param>
    /// <param name="batches">
    /// The queue of batches of large checkpoints, by a client with the default encoding: messages are Base64 already, as the Functions host expects them.
    /// Null: the worker that has the event writes all batches.
    /// </param>
    /// <param name="options">How to shard.</param>
    /// <param name="clock">The clock of all times.</param>
    /// <param name="log">Is told of each job's begin and end.</param>
    public CheckpointPipeline(
        BlobContainerClient uploads,
        IShardStore shards,
        IShardStore work,
        QueueClient? batches,
        ShardingOptions options,
        TimeProvider clock,
        ILogger<CheckpointPipeline> log)
    {
        ArgumentNullException.ThrowIfNull(options);
        (_uploads, _options, _log) = (uploads, options, log);
        _jobs = new(work, clock);
        _runs = new(_jobs, clock);
        _sets = new(uploads, options.Limits);
        _batches = new(uploads, shards, _runs, options, clock, log);
        _dispatch = batches is null ? null : new(batches, new(work), _batches, _runs, clock, log);
    }

    /// <summary>Shards an upload that an event tells of.</summary>
    /// <param name="message">The event, a CloudEvent.</param>
    /// <param name="cancellationToken">Ends it; what is done stays done.</param>
    /// <returns>
    /// The job's status. It is final, since a refused or overwritten upload is an end and not an error; or it waits for the rest of a set, whose
    /// own events will go on; or its batches are on their queue.
    /// </returns>
    /// <exception cref="FormatException">The message is not such an event.</exception>
    public async Task<JobStatus> UploadedAsync(BinaryData message, CancellationToken cancellationToken)
    {
        var upload = Parse(message);
        var status = await BeginAsync(upload, cancellationToken).ConfigureAwait(false);
        if (status.IsFinal || status.DispatchedAt is not null)
        {
            Log.Repeated(_log, upload.Path, status.State);
            return status;
        }

        Log.Begun(_log, upload.Path, status.Job);
        status = await _runs.RunAsync(status.Job, () => ShardAsync(upload, status, cancellationToken), cancellationToken).ConfigureAwait(false);
        await BatchDispatch.GiveMemoryBackAsync(status.Shards.Total).ConfigureAwait(false);
        if (status.IsFinal)
        {
            Log.Ended(_log, upload.Path, status.State, status.Reference ?? status.Error?.Message ?? "");
        }

        return status;
    }

    /// <summary>Writes a batch of a large checkpoint, and publishes the checkpoint if it was the last.</summary>
    /// <param name="message">A message of the queue of batches.</param>
    /// <param name="cancellationToken">Ends it; what is done stays done.</param>
    /// <returns>The job's status; null where there is no such job any more.</returns>
    /// <exception cref="FormatException">The message does not name a batch.</exception>
    public async Task<JobStatus?> BatchAsync(BinaryData message, CancellationToken cancellationToken)
    {
        var (job, batch) = BatchMessage.Parse(message);
        var status = await _jobs.TryReadAsync(job, cancellationToken).ConfigureAwait(false);
        if (status is null or { IsFinal: true } || _dispatch is null)
        {
            Log.BatchNotNeeded(_log, job, batch, status?.State);
            return status;
        }

        status = await _runs.RunAsync(job, () => _dispatch.WriteAsync(status, batch, cancellationToken), cancellationToken).ConfigureAwait(false);
        if (status.IsFinal)
        {
            await _dispatch.MirrorAsync(status, cancellationToken).ConfigureAwait(false);
            Log.Ended(_log, status.Path, status.State, status.Reference ?? status.Error?.Message ?? "");
        }

        return status;
    }

    /// <summary>Ends the job of an event that was tried too often: its status says so, and what the last attempt failed of.</summary>
    /// <param name="message">The message of the poison queue of events.</param>
    /// <param name="cancellationToken">Ends it.</param>
    /// <returns>The final status, or null where the message is not an event of an upload, so that there is no job to end.</returns>
    public async Task<JobStatus?> FailedAsync(BinaryData message, CancellationToken cancellationToken)
    {
        try
        {
            var status = await BeginAsync(Parse(message), cancellationToken).ConfigureAwait(false);

            // Batches that are on their queue go on without the event.
            return status.DispatchedAt is null ? await GiveUpAsync(status, cancellationToken).ConfigureAwait(false) : status;
        }
        catch (FormatException e)
        {
            Log.NotAMessage(_log, e);
            return null;
        }
    }

    /// <summary>Ends the job of a batch that was tried too often.</summary>
    /// <param name="message">The message of the poison queue of batches.</param>
    /// <param name="cancellationToken">Ends it.</param>
    /// <returns>The final status, or null where there is no job to end.</returns>
    public async Task<JobStatus?> BatchFailedAsync(BinaryData message, CancellationToken cancellationToken)
    {
        try
        {
            var (job, _) = BatchMessage.Parse(message);
            return await _jobs.TryReadAsync(job, cancellationToken).ConfigureAwait(false) is { } status
                ? await GiveUpAsync(status, cancellationToken).ConfigureAwait(false)
                : null;
        }
        catch (FormatException e)
        {
            Log.NotAMessage(_log, e);
            return null;
        }
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
        var etag = UploadEvent.TextOf(upload.ETag);
        return _runs.BeginAsync(JobStore.IdOf(upload.Path, etag), upload.Path, etag, cancellationToken);
    }

    private async Task<JobStatus> GiveUpAsync(JobStatus status, CancellationToken cancellationToken)
    {
        JobStatus End(JobStatus present) => present with { State = JobState.Failed, Error = Errors.GaveUp(present.Error) };
        if (status is { IsFinal: false, Set: { } set })
        {
            await _runs.UpdateAsync(set, present => present.DispatchedAt is null ? End(present) : present, cancellationToken).ConfigureAwait(false);
        }

        status = await _runs.UpdateAsync(status.Job, End, cancellationToken).ConfigureAwait(false);
        if (status.DispatchedAt is not null && _dispatch is not null)
        {
            await _dispatch.MirrorAsync(status, cancellationToken).ConfigureAwait(false);
        }

        Log.GaveUp(_log, status.Path, status.Job, status.Error?.Message);
        return status;
    }

    private async Task<JobStatus> ShardAsync(UploadEvent upload, JobStatus status, CancellationToken cancellationToken)
    {
        var source = await _batches.OpenAsync(upload.Path, upload.ETag, cancellationToken).ConfigureAwait(false);
        var found = await _sets.FindAsync(upload.Path, cancellationToken).ConfigureAwait(false);
        var name = CheckpointName.FromUpload(found?.Index?.Path ?? upload.Path);
        switch (found)
        {
            case null:
                var files = await CheckpointFiles.ReadFileAsync(source, _options.Limits, cancellationToken).ConfigureAwait(false);
                return await ShardAsync(status.Job, name, files, cancellationToken).ConfigureAwait(false);
            case { Missing.IsEmpty: false }:
                return await WaitAsync(found, upload, name, cancellationToken).ConfigureAwait(false);
            case var set:
                return await ShardSetAsync(set, name, status, cancellationToken).ConfigureAwait(false);
        }
    }

    // Files that came before the index know from its event on what else they wait for.
    private async Task<JobStatus> WaitAsync(UploadSet set, UploadEvent upload, string name, CancellationToken cancellationToken)
    {
        Log.Waits(_log, upload.Path, string.Join(", ", set.Missing));
        foreach (var file in set.Index?.Path == upload.Path ? set.Present : [])
        {
            await WaitAsync(file.Path, file.ETag).ConfigureAwait(false);
        }

        return await WaitAsync(upload.Path, upload.ETag).ConfigureAwait(false);

        async Task<JobStatus> WaitAsync(string path, ETag etag)
        {
            var begun = await _runs.BeginAsync(JobStore.IdOf(path, UploadEvent.TextOf(etag)), path, UploadEvent.TextOf(etag), cancellationToken).ConfigureAwait(false);
            return await _runs.UpdateAsync(
                begun.Job, present => present with { State = JobState.Waiting, Name = name, WaitsFor = set.Missing }, cancellationToken).ConfigureAwait(false);
        }
    }

    // The event of each file may find the set complete: all of them meet one job, named by the versions of all files, and mirror it.
    private async Task<JobStatus> ShardSetAsync(UploadSet set, string name, JobStatus member, CancellationToken cancellationToken)
    {
        var index = set.Index!;
        var status = await _runs.BeginAsync(JobStore.IdOf(set.Members), index.Path, index.ETag, cancellationToken).ConfigureAwait(false);
        await _runs.UpdateAsync(member.Job, present => present with { Set = status.Job }, cancellationToken).ConfigureAwait(false);
        if (!status.IsFinal && status.DispatchedAt is null)
        {
            status = await _runs.RunAsync(
                status.Job,
                async () => await ShardAsync(status.Job, name, await ReadAsync(set, cancellationToken).ConfigureAwait(false), cancellationToken).ConfigureAwait(false),
                cancellationToken).ConfigureAwait(false);
        }

        await _runs.MirrorAsync(status, set.Members, cancellationToken).ConfigureAwait(false);
        return status;
    }

    private Task<CheckpointFiles> ReadAsync(UploadSet set, CancellationToken cancellationToken)
    {
        var versions = set.Present.ToDictionary(file => file.Path[(file.Path.LastIndexOf('/') + 1)..], StringComparer.Ordinal);
        return CheckpointFiles.ReadSetAsync(
            set.Index!,
            async (file, token) => await _batches.OpenAsync(versions[file].Path, versions[file].ETag, token).ConfigureAwait(false),
            _options.Limits,
            cancellationToken);
    }

    private async Task<JobStatus> ShardAsync(string job, string name, CheckpointFiles files, CancellationToken cancellationToken)
    {
        var planned = ShardPlanner.Plan(job, name, files.Planned, files.Description, _options.Bounds);
        return _dispatch is null || planned.Batches.Length <= 1
            ? await _batches.WriteAllAsync(planned, [.. files.All], cancellationToken).ConfigureAwait(false)
            : await _dispatch.SendAsync(planned, files.Description, cancellationToken).ConfigureAwait(false);
    }
}
