using Azure;
using CloudShards.Formats;

namespace CloudShards.Sharding;

/// <summary>Tells of a job's life in its status: that it began, how far it is, how it ended. Where several workers have the job, each tells its part.</summary>
/// <param name="jobs">The statuses.</param>
/// <param name="clock">The clock of their times.</param>
internal sealed class JobRuns(JobStore jobs, TimeProvider clock)
{
    /// <summary>How often a worker tells how far it is.</summary>
    public static readonly TimeSpan ReportInterval = TimeSpan.FromSeconds(5);

    /// <summary>The status of a job that is begun now, unless it was before.</summary>
    public Task<JobStatus> BeginAsync(string job, string path, string etag, CancellationToken cancellationToken)
    {
        var now = clock.GetUtcNow();
        return jobs.UpdateAsync(
            job,
            present => present ?? new() { Job = job, State = JobState.Sharding, Path = path, ETag = etag, StartedAt = now, UpdatedAt = now },
            cancellationToken);
    }

    /// <summary>Changes the status of a job that was begun; a final one stays.</summary>
    public Task<JobStatus> UpdateAsync(string job, Func<JobStatus, JobStatus> change, CancellationToken cancellationToken) =>
        jobs.UpdateAsync(job, present => change(present ?? throw Errors.StatusVanished(job)), cancellationToken);

    /// <summary>Lets the jobs of a set's files say what the set's job says.</summary>
    public async Task MirrorAsync(JobStatus status, IEnumerable<(string Path, string ETag)> set, CancellationToken cancellationToken)
    {
        foreach (var (path, etag) in set)
        {
            await jobs.MirrorAsync(status, JobStore.IdOf(path, etag), path, etag, cancellationToken).ConfigureAwait(false);
        }
    }

    /// <summary>Does work on a job. A refused or overwritten upload ends the job; of anything else its status tells, and the queue tries again.</summary>
    public async Task<JobStatus> RunAsync(string job, Func<Task<JobStatus>> work, CancellationToken cancellationToken)
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
            await UpdateAsync(job, present => present with { Error = JobError.Of(e) }, cancellationToken).ConfigureAwait(false);
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

    // Progress that cannot be told is no reason to end the work.
    private async Task ReportAsync(string job, PeriodicTimer timer, Func<JobStatus, JobStatus> progress, CancellationToken cancellationToken)
    {
        try
        {
            while (await timer.WaitForNextTickAsync(cancellationToken).ConfigureAwait(false))
            {
                await ReportAsync(job, progress, cancellationToken).ConfigureAwait(false);
            }
        }
        catch (Exception e) when (e is OperationCanceledException or RequestFailedException or IOException or InvalidOperationException)
        {
        }
    }
}
