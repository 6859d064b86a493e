using System.Collections.Immutable;
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
    // A status is read by people, and an index may name many thousand files.
    private const int MaxWaitsFor = 100;

    private readonly BlobContainerClient _uploads;
    private readonly ShardingOptions _options;
    private readonly ILogger _log;
    private readonly JobStore _jobs;
    private readonly JobRuns _runs;
    private readonly UploadSets _sets;
    private readonly CheckpointBatches _batches;
    private readonly BatchDispatch? _dispatch;
    private readonly UploadQueue? _events;
    private readonly CheckpointTags _tags;
    private readonly TimeProvider _clock;

    /// <summary>A pipeline over three stores and two queues.</summary>
    /// <param name="uploads">The container that checkpoints are uploaded to.</param>
    /// <param name="shards">Where shards, manifests and tags go.</param>
    /// <param name="work">Where the documents of jobs go.</param>
    /// <param name="events">
    /// The queue of events, by a client with the default encoding: messages are Base64 already, as the Functions host expects them. What cannot be worked on
    /// yet is put back there. Null: it is worked on at once.
    /// </param>
    /// <param name="batches">The queue of batches of large checkpoints, by such a client. Null: the worker that has the event writes all batches.</param>
    /// <param name="options">How to shard.</param>
    /// <param name="clock">The clock of all times.</param>
    /// <param name="log">Is told of each job's begin and end.</param>
    public CheckpointPipeline(
        BlobContainerClient uploads,
        IShardStore shards,
        IShardStore work,
        QueueClient? events,
        QueueClient? batches,
        ShardingOptions options,
        TimeProvider clock,
        ILogger<CheckpointPipeline> log)
    {
        ArgumentNullException.ThrowIfNull(options);
        (_uploads, _options, _clock, _log) = (uploads, options, clock, log);
        _jobs = new(work, clock);
        _events = events is null ? null : new(events, uploads, _jobs, clock, log);
        _runs = new(_jobs, _events, clock);
        _tags = new(shards, clock);
        _sets = new(uploads, options.Limits);
        _batches = new(uploads, shards, _runs, options, clock, log);
        _dispatch = batches is null ? null : new(batches, new(work), _batches, _runs, clock, log);
    }

    /// <summary>Shards an upload that an event tells of.</summary>
    /// <param name="message">The event, a CloudEvent.</param>
    /// <param name="cancellationToken">Ends it; what is done stays done.</param>
    /// <returns>
    /// The job's status. It is final, since a refused or overwritten upload is an end and not an error; or it waits for the rest of a set, whose
    /// own events will go on; or its batches are on their queue; or another worker has it, and the event is on its queue again.
    /// </returns>
    /// <exception cref="FormatException">The message is not such an event.</exception>
    public async Task<JobStatus> UploadedAsync(BinaryData message, CancellationToken cancellationToken)
    {
        var upload = Parse(message);
        var (status, isTaken) = await TakeAsync(upload, cancellationToken).ConfigureAwait(false);
        if (!isTaken)
        {
            Log.Repeated(_log, upload.Path, status.State);
            return status;
        }

        Log.Begun(_log, upload.Path, status.Job);
        status = await _runs.RunTakenAsync(status.Job, () => ShardAsync(upload, status, cancellationToken), cancellationToken).ConfigureAwait(false);
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
            await MirrorAsync(status, cancellationToken).ConfigureAwait(false);
            return status;
        }

        status = await _runs.RunAsync(job, () => _dispatch.WriteAsync(status, batch, cancellationToken), cancellationToken).ConfigureAwait(false);
        await MirrorAsync(status, cancellationToken).ConfigureAwait(false);
        if (status.IsFinal)
        {
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
            var upload = Parse(message);
            var etag = UploadEvent.TextOf(upload.ETag);
            var status = await _runs.BeginAsync(JobStore.IdOf(upload.Path, etag), upload.Path, etag, cancellationToken).ConfigureAwait(false);

            // Batches that are on their queue go on without the event.
            return status.IsFinal || status.DispatchedAt is not null ? status : await GiveUpAsync(status, cancellationToken).ConfigureAwait(false);
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
            var (job, batch) = BatchMessage.Parse(message);
            var status = await _jobs.TryReadAsync(job, cancellationToken).ConfigureAwait(false);
            if (status is null || _dispatch is null)
            {
                return status;
            }

            var isDone = !status.IsFinal && await _dispatch.IsDoneByOthersAsync(status, batch, cancellationToken).ConfigureAwait(false);
            status = await EndAsync(job, present => isDone || _runs.IsClaimed(present), cancellationToken).ConfigureAwait(false);
            if (!status.IsFinal && !isDone)
            {
                await _dispatch.ReturnAsync(job, batch, cancellationToken).ConfigureAwait(false);
            }

            await MirrorAsync(status, cancellationToken).ConfigureAwait(false);
            return status;
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

    private Task<(JobStatus Status, bool IsTaken)> TakeAsync(UploadEvent upload, CancellationToken cancellationToken)
    {
        var etag = UploadEvent.TextOf(upload.ETag);
        return TakeAsync(JobStore.IdOf(upload.Path, etag), upload.Path, etag, upload, cancellationToken);
    }

    // What another worker has comes back to the queue: that worker may die, and what it had of the queue with it.
    private async Task<(JobStatus Status, bool IsTaken)> TakeAsync(
        string job, string path, string etag, UploadEvent upload, CancellationToken cancellationToken)
    {
        var taken = await _runs.TakeAsync(job, path, etag, cancellationToken).ConfigureAwait(false);
        if (_events is not null && taken is ({ IsFinal: false, DispatchedAt: null, ClaimedUntil: { } until }, false))
        {
            await _events.ReturnAsync(upload.Path, UploadEvent.TextOf(upload.ETag), until, cancellationToken).ConfigureAwait(false);
        }

        return taken;
    }

    private async Task<JobStatus> GiveUpAsync(JobStatus status, CancellationToken cancellationToken)
    {
        var ended = await EndAsync(
            status.Set ?? status.Job, present => present.DispatchedAt is not null || (_events is not null && _runs.IsClaimed(present)), cancellationToken).ConfigureAwait(false);
        if (ended is { IsFinal: false, DispatchedAt: null } && _events is not null)
        {
            await _events.ReturnAsync(status.Path, status.ETag, _clock.GetUtcNow() + JobRuns.ClaimLifetime, cancellationToken).ConfigureAwait(false);
        }

        if (ended.IsFinal && status.Set is not null)
        {
            await _runs.MirrorAsync(ended, status.Path, status.ETag, cancellationToken).ConfigureAwait(false);
        }

        return await _jobs.TryReadAsync(status.Job, cancellationToken).ConfigureAwait(false) ?? ended;
    }

    // Of several messages about one job, one that was tried too often is no reason to end what the worker of another is at.
    private async Task<JobStatus> EndAsync(string job, Func<JobStatus, bool> goesOn, CancellationToken cancellationToken)
    {
        var isEnd = false;
        var status = await _runs.UpdateAsync(
            job,
            present =>
            {
                isEnd = !goesOn(present);
                return isEnd ? present with { State = JobState.Failed, Error = Errors.GaveUp(present.Error) } : present;
            },
            cancellationToken).ConfigureAwait(false);
        if (isEnd && status.State == JobState.Failed)
        {
            Log.GaveUp(_log, status.Path, status.Job, status.Error?.Message);
        }
        else
        {
            Log.GoesOn(_log, status.Path, status.Job, status.State);
        }

        return status;
    }

    // The worker that brought a set to its end may be gone before it told the set's files: whoever comes by does it.
    private async Task MirrorAsync(JobStatus? status, CancellationToken cancellationToken)
    {
        if (status is { IsFinal: true } && _dispatch is not null && !await _runs.IsMirroredAsync(status, cancellationToken).ConfigureAwait(false))
        {
            await _dispatch.MirrorAsync(status, cancellationToken).ConfigureAwait(false);
        }
    }

    private async Task<JobStatus> ShardAsync(UploadEvent upload, JobStatus status, CancellationToken cancellationToken)
    {
        var source = await _batches.OpenAsync(upload.Path, upload.ETag, cancellationToken).ConfigureAwait(false);
        var found = await _sets.FindAsync(upload.Path, cancellationToken).ConfigureAwait(false);
        var name = CheckpointName.FromUpload(found?.Index?.Path ?? upload.Path);
        switch (found)
        {
            case null:
                return await ShardAsync(
                    status.Job, name, token => CheckpointFiles.ReadFileAsync(source, _options.Limits, token), cancellationToken).ConfigureAwait(false);
            case { Index: not null } other when !other.Members.Contains((source.Path, source.ETag)):
                throw Errors.SourceChanged(source.Path);
            case { Missing.IsEmpty: false }:
                return await WaitAsync(found, upload, name, cancellationToken).ConfigureAwait(false);
            case var set when await IsUnsettledAsync(set, name, cancellationToken).ConfigureAwait(false):
                return await SettleAsync(set, source, status, name, cancellationToken).ConfigureAwait(false);
            case var set:
                return await ShardSetAsync(set, name, upload, status, cancellationToken).ConfigureAwait(false);
        }
    }

    // Files that came before the index know from its event on what else they wait for.
    private async Task<JobStatus> WaitAsync(UploadSet set, UploadEvent upload, string name, CancellationToken cancellationToken)
    {
        ImmutableArray<string> some = [.. set.Missing.Take(MaxWaitsFor)];
        Log.Waits(_log, upload.Path, set.Missing.Length, string.Join(", ", some));
        foreach (var file in set.Index?.Path == upload.Path ? set.Present : [])
        {
            await WaitAsync(file.Path, file.ETag, present => present).ConfigureAwait(false);
        }

        return await WaitAsync(upload.Path, upload.ETag, present => present with { ClaimedUntil = null }).ConfigureAwait(false);

        // A file whose set was complete, as another worker saw it, hears of that set's end.
        async Task<JobStatus> WaitAsync(string path, ETag etag, Func<JobStatus, JobStatus> release)
        {
            var text = UploadEvent.TextOf(etag);
            var begun = await _runs.BeginAsync(JobStore.IdOf(path, text), path, text, cancellationToken).ConfigureAwait(false);
            return await _runs.UpdateAsync(
                begun.Job,
                present => release(present is { Set: null, DispatchedAt: null }
                    ? present with { State = JobState.Waiting, Name = name, WaitsFor = some, WaitsForCount = set.Missing.Length, SettlesAt = null }
                    : present),
                cancellationToken).ConfigureAwait(false);
        }
    }

    // Where the event cannot be put back, nobody would come again.
    private async Task<bool> IsUnsettledAsync(UploadSet set, string name, CancellationToken cancellationToken) =>
        _events is not null && set.NewestAt + _options.SetQuietPeriod > _clock.GetUtcNow()
        && set.IsMixed(await _tags.TryReadAsync(CheckpointReference.ForTag(name, ShardTag.Latest), cancellationToken).ConfigureAwait(false));

    // The event of the newest file comes back; those of the others need not.
    private async Task<JobStatus> SettleAsync(
        UploadSet set, BlobCheckpointSource source, JobStatus member, string name, CancellationToken cancellationToken)
    {
        var settlesAt = set.NewestAt + _options.SetQuietPeriod;
        Log.Settles(_log, source.Path, settlesAt);
        if (source.UploadedAt == set.NewestAt)
        {
            await _events!.ReturnAsync(source.Path, source.ETag, settlesAt, cancellationToken).ConfigureAwait(false);
        }

        return await _runs.UpdateAsync(
            member.Job,
            present => present is { Set: null }
                ? present with { State = JobState.Waiting, Name = name, WaitsFor = null, WaitsForCount = null, SettlesAt = settlesAt, ClaimedUntil = null }
                : present with { ClaimedUntil = null },
            cancellationToken).ConfigureAwait(false);
    }

    // The event of each file may find the set complete: all of them meet one job, named by the versions of all files, and mirror it.
    private async Task<JobStatus> ShardSetAsync(UploadSet set, string name, UploadEvent upload, JobStatus member, CancellationToken cancellationToken)
    {
        var index = set.Index!;
        var (status, isTaken) = await TakeAsync(JobStore.IdOf(set.Members), index.Path, index.ETag, upload, cancellationToken).ConfigureAwait(false);
        await _runs.UpdateAsync(member.Job, present => present with { Set = status.Job, ClaimedUntil = null }, cancellationToken).ConfigureAwait(false);
        if (isTaken)
        {
            status = await _runs.RunTakenAsync(
                status.Job, () => ShardAsync(status.Job, name, token => ReadAsync(set, token), cancellationToken), cancellationToken).ConfigureAwait(false);
        }

        // One tells all files, the others their own; but whoever was to tell them all of the set's end may be gone. Once its own file is told, this event is
        // not worked on again, so that one is the last.
        if (isTaken || (status.IsFinal && !await _runs.IsMirroredAsync(status, cancellationToken).ConfigureAwait(false)))
        {
            await _runs.MirrorAsync(status, set.Members.Where(file => file.Path != member.Path), cancellationToken).ConfigureAwait(false);
        }

        await _runs.MirrorAsync(status, member.Path, member.ETag, cancellationToken).ConfigureAwait(false);
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

    private async Task<JobStatus> ShardAsync(string job, string name, Func<CancellationToken, Task<CheckpointFiles>> probe, CancellationToken cancellationToken)
    {
        CheckpointFiles files;
        using (ShardingTelemetry.Begin("Probe", job))
        {
            files = await probe(cancellationToken).ConfigureAwait(false);
        }

        await BatchDispatch.GiveMemoryBackAsync(files.Description.Tensors.Length).ConfigureAwait(false);
        PlannedCheckpoint planned;
        using (ShardingTelemetry.Begin("Plan", job))
        {
            planned = ShardPlanner.Plan(job, name, files.Planned, files.Description, _options.Bounds);
            await BatchDispatch.GiveMemoryBackAsync(files.Description.Tensors.Length).ConfigureAwait(false);
            if (_dispatch is not null && planned.Batches.Length > 1)
            {
                return await _dispatch.SendAsync(planned, files.Description, cancellationToken).ConfigureAwait(false);
            }
        }

        return await _batches.WriteAllAsync(planned, [.. files.All], cancellationToken).ConfigureAwait(false);
    }
}
