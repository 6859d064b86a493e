using Azure;
using CloudShards.Formats;

namespace CloudShards.Sharding;

/// <summary>Tells of a job's life in its status: that it began, how far it is, how it ended. Where several workers have the job, each tells its part.</summary>
/// <param name="jobs">The statuses.</param>
/// <param name="events">Where work that another worker has at the moment is put back; null where it is done twice instead.</param>
/// <param name="clock">The clock of their times.</param>
internal sealed class JobRuns(JobStore jobs, UploadQueue? events, TimeProvider clock)
{
    /// <summary>How often a worker tells how far it is.</summary>
    public static readonly TimeSpan ReportInterval = TimeSpan.FromSeconds(5);

    /// <summary>How long a worker that says nothing has a job for itself: some reports may be lost, and a dead one's work waits no longer.</summary>
    public static readonly TimeSpan ClaimLifetime = 4 * ReportInterval;

    private const int MaxConcurrency = 8;

    /// <summary>The status of a job that is begun now, unless it was before.</summary>
    public Task<JobStatus> BeginAsync(string job, string path, string etag, CancellationToken cancellationToken) =>
        jobs.UpdateAsync(job, present => present ?? Begun(job, path, etag), cancellationToken);

    /// <summary>Takes a job that is to be planned, beginning it where nobody has.</summary>
    /// <returns>Its status, and whether it was taken: not where it is over, its batches are on their queue, or another worker has it.</returns>
    public async Task<(JobStatus Status, bool IsTaken)> TakeAsync(string job, string path, string etag, CancellationToken cancellationToken)
    {
        var isTaken = false;
        var status = await jobs.UpdateAsync(
            job,
            present =>
            {
                isTaken = present?.DispatchedAt is null && (events is null || !IsClaimed(present));
                return isTaken ? Claim(present ?? Begun(job, path, etag)) : present!;
            },
            cancellationToken).ConfigureAwait(false);
        return (status, isTaken && !status.IsFinal);
    }

    /// <summary>Whether a worker has a job for itself.</summary>
    public bool IsClaimed(JobStatus? status) => status?.ClaimedUntil > clock.GetUtcNow();

    /// <summary>The status of a job that this worker has for itself from now on.</summary>
    public JobStatus Claim(JobStatus status) => status with { ClaimedUntil = clock.GetUtcNow() + ClaimLifetime };

    /// <summary>Changes the status of a job that was begun; a final one stays.</summary>
    public Task<JobStatus> UpdateAsync(string job, Func<JobStatus, JobStatus> change, CancellationToken cancellationToken) =>
        jobs.UpdateAsync(job, present => change(present ?? throw Errors.StatusVanished(job)), cancellationToken);

    /// <summary>Marks a job as one that is about to be published, so that nobody gives it up meanwhile.</summary>
    /// <exception cref="JobEndedException">Somebody has ended it.</exception>
    public async Task HoldAsync(string job, CancellationToken cancellationToken)
    {
        if (await UpdateAsync(job, Claim, cancellationToken).ConfigureAwait(false) is { IsFinal: true } ended)
        {
            throw Errors.JobEnded(ended);
        }
    }

    /// <summary>Asks whether a job still goes on.</summary>
    /// <exception cref="JobEndedException">Somebody has ended it.</exception>
    public async ValueTask EnsureOpenAsync(string job, CancellationToken cancellationToken)
    {
        if (await jobs.TryReadAsync(job, cancellationToken).ConfigureAwait(false) is { IsFinal: true } ended)
        {
            throw Errors.JobEnded(ended);
        }
    }

    /// <summary>Lets the jobs of a set's files say what the set's job says; that of its index at last, so that where it does all do.</summary>
    /// <param name="set">What the set's job says.</param>
    /// <param name="files">All its files.</param>
    /// <param name="cancellationToken">Ends it.</param>
    public async Task MirrorAsync(JobStatus set, IEnumerable<(string Path, string ETag)> files, CancellationToken cancellationToken)
    {
        var parallel = new ParallelOptions { MaxDegreeOfParallelism = MaxConcurrency, CancellationToken = cancellationToken };
        await Parallel.ForEachAsync(files.Where(file => file.Path != set.Path), parallel, async (file, token) =>
            await jobs.MirrorAsync(set, file.Path, file.ETag, token).ConfigureAwait(false)).ConfigureAwait(false);
        await jobs.MirrorAsync(set, set.Path, set.ETag, cancellationToken).ConfigureAwait(false);
    }

    /// <summary>Lets the job of one file of a set say what the set's job says.</summary>
    public Task MirrorAsync(JobStatus set, string path, string etag, CancellationToken cancellationToken) => jobs.MirrorAsync(set, path, etag, cancellationToken);

    /// <summary>Whether the jobs of all files of a set that is over say so: not where the worker that was to tell them is gone. True where there is no set.</summary>
    public async Task<bool> IsMirroredAsync(JobStatus status, CancellationToken cancellationToken)
    {
        var index = JobStore.IdOf(status.Path, status.ETag);
        return index == status.Job
            || (await jobs.TryReadAsync(index, cancellationToken).ConfigureAwait(false) is { } file && JobStore.IsOvertaken(status, file));
    }

    /// <summary>As <see cref="RunAsync"/>, for a job that was taken: while the work goes on, it stays so.</summary>
    public Task<JobStatus> RunTakenAsync(string job, Func<Task<JobStatus>> work, CancellationToken cancellationToken) => RunAsync(
        job, () => ReportWhileAsync(job, work(), present => present.ClaimedUntil is null ? present : Claim(present), cancellationToken), cancellationToken);

    /// <summary>Does work on a job. A refused or overwritten upload ends the job; of anything else its status tells, and the queue tries again.</summary>
    public async Task<JobStatus> RunAsync(string job, Func<Task<JobStatus>> work, CancellationToken cancellationToken)
    {
        try
        {
            return await work().ConfigureAwait(false);
        }
        catch (JobEndedException e)
        {
            return e.Status;
        }
        catch (CheckpointFormatException e)
        {
            return await UpdateAsync(job, present => present with { State = JobState.Failed, Error = JobError.Of(e) }, cancellationToken).ConfigureAwait(false);
        }
        catch (SourceChangedException e)
        {
            // Not every change raises an event: one of a blob's metadata does not.
            if (events is not null && e.Path is not null)
            {
                await events.AnnounceAsync(e.Path, cancellationToken).ConfigureAwait(false);
            }

            return await UpdateAsync(job, present => present with { State = JobState.Superseded, Error = null }, cancellationToken).ConfigureAwait(false);
        }
        catch (Exception e) when (!cancellationToken.IsCancellationRequested)
        {
            await TellAsync(job, present => present with { Error = JobError.Of(e), ClaimedUntil = null }, cancellationToken).ConfigureAwait(false);
            throw;
        }
    }

    /// <summary>Waits for work, and every few seconds tells how far it is.</summary>
    public async Task<T> ReportWhileAsync<T>(string job, Task<T> work, Func<JobStatus, JobStatus> progress, CancellationToken cancellationToken)
    {
        using var timer = new PeriodicTimer(ReportInterval, clock);
        using var done = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        var reports = ReportAsync(job, timer, progress, done.Token);
        try
        {
            return await work.ConfigureAwait(false);
        }
        finally
        {
            await done.CancelAsync().ConfigureAwait(false);
            await reports.ConfigureAwait(false);
        }
    }

    /// <summary>Tells how far a job is. Where another worker tells it at the same time, its word will do, and null is returned.</summary>
    public Task<JobStatus?> ReportAsync(string job, Func<JobStatus, JobStatus> progress, CancellationToken cancellationToken) =>
        jobs.TryUpdateAsync(job, present => progress(present ?? throw Errors.StatusVanished(job)), cancellationToken);

    private JobStatus Begun(string job, string path, string etag)
    {
        var now = clock.GetUtcNow();
        return new() { Job = job, State = JobState.Sharding, Path = path, ETag = etag, StartedAt = now, UpdatedAt = now };
    }

    // What the work failed of matters more than that the status could not be told of it.
    private async Task TellAsync(string job, Func<JobStatus, JobStatus> change, CancellationToken cancellationToken)
    {
        try
        {
            await UpdateAsync(job, change, cancellationToken).ConfigureAwait(false);
        }
        catch (Exception e) when (IsUntold(e))
        {
        }
    }

    // Progress that cannot be told is no reason to end the work, nor to be silent for the rest of it.
    private async Task ReportAsync(string job, PeriodicTimer timer, Func<JobStatus, JobStatus> progress, CancellationToken cancellationToken)
    {
        try
        {
            while (await timer.WaitForNextTickAsync(cancellationToken).ConfigureAwait(false))
            {
                try
                {
                    await ReportAsync(job, progress, cancellationToken).ConfigureAwait(false);
                }
                catch (Exception e) when (IsUntold(e))
                {
                }
            }
        }
        catch (OperationCanceledException)
        {
        }
    }

    // The service cannot be reached, also after the client's own retries; the document is damaged; or it is gone, or changed by others all the time.
    private static bool IsUntold(Exception e) =>
        e is RequestFailedException or AggregateException or IOException or InvalidDataException or InvalidOperationException;
}

/// <summary>Somebody else has ended the job that a worker is at.</summary>
internal sealed class JobEndedException(string message) : Exception(message)
{
    /// <summary>The end.</summary>
    public required JobStatus Status { get; init; }
}
