using Microsoft.Extensions.Logging;

namespace CloudShards.Sharding;

internal static partial class Log
{
    [LoggerMessage(1, LogLevel.Information, "Sharding {Path} as job {Job}")]
    public static partial void Begun(ILogger log, string path, string job);

    [LoggerMessage(2, LogLevel.Information, "{Path} is {State}: {Outcome}")]
    public static partial void Ended(ILogger log, string path, JobState state, string? outcome);

    [LoggerMessage(3, LogLevel.Debug, "{Path} is {State} already; its event was repeated")]
    public static partial void Repeated(ILogger log, string path, JobState state);

    [LoggerMessage(4, LogLevel.Error, "Gave up on {Path}, job {Job}: {Error}")]
    public static partial void GaveUp(ILogger log, string path, string job, string? error);

    [LoggerMessage(5, LogLevel.Error, "A message that was tried too often names no job; it is dropped")]
    public static partial void NotAMessage(ILogger log, Exception exception);

    [LoggerMessage(7, LogLevel.Information, "{Path} is dispatched as {Batches} batches of job {Job}")]
    public static partial void Dispatched(ILogger log, string path, string job, int batches);

    [LoggerMessage(8, LogLevel.Debug, "Batch {Batch} of job {Job} is not needed: the job is {State}")]
    public static partial void BatchNotNeeded(ILogger log, string job, int batch, JobState? state);

    [LoggerMessage(9, LogLevel.Information, "Batch {Batch} of job {Job} is done: {Shards} shards, {Bytes} bytes")]
    public static partial void BatchDone(ILogger log, string job, int batch, int shards, long bytes);

    [LoggerMessage(10, LogLevel.Warning, "The storage service does not copy a shard itself: {Status} {Code}. Until {Until} the bytes of shards are sent from here. Where this goes on, "
        + "grant Storage Blob Delegator on the account to this identity, and let the account's firewall admit the service")]
    public static partial void CopyRefused(ILogger log, int status, string? code, DateTimeOffset until, Exception exception);

    [LoggerMessage(11, LogLevel.Information, "{Shards} shards of {Bytes} bytes are garbage, of {Examined} examined; trial: {IsTrial}")]
    public static partial void Swept(ILogger log, int shards, long bytes, int examined, bool isTrial);

    [LoggerMessage(12, LogLevel.Debug, "The event of {Path} is put back until {Until}")]
    public static partial void PutBack(ILogger log, string path, DateTimeOffset until);

    [LoggerMessage(13, LogLevel.Information, "{Path} has another version, of which no event told; it is sharded")]
    public static partial void Announced(ILogger log, string path);

    [LoggerMessage(14, LogLevel.Information, "{Path} waits until {Until}: only some files of its set were replaced")]
    public static partial void Settles(ILogger log, string path, DateTimeOffset until);

    [LoggerMessage(15, LogLevel.Information, "{Path}, job {Job}: a message of it was tried too often, but other workers have the job, or had: it is {State}")]
    public static partial void GoesOn(ILogger log, string path, string job, JobState state);

    [LoggerMessage(16, LogLevel.Information, "{Batches} batches of job {Job} were written long ago; whether their shards are still there is checked")]
    public static partial void Rechecked(ILogger log, string job, int batches);

    [LoggerMessage(6, LogLevel.Information, "{Path} waits for {Count} more files of its set, among them {Missing}")]
    public static partial void Waits(ILogger log, string path, int count, string missing);
}
