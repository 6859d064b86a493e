using CloudShards.Formats;

namespace CloudShards.Sharding;

/// <summary>The words of every refusal in this project: what was found where, what was expected, what to do.</summary>
internal static class Errors
{
    public static SourceChangedException SourceChanged(string path, Exception? inner = null) => new(
        $"The upload `{path}` was overwritten or deleted while it was being sharded. Nothing is lost: the newer upload is sharded by an event of its own.",
        inner)
    {
        Path = path,
    };

    public static FormatException NotAnUploadEvent(string reason, Exception? inner = null) => new(
        $"The message is not a CloudEvent `Microsoft.Storage.BlobCreated`: {reason}. "
        + "Check that the Event Grid subscription delivers CloudEvents 1.0 of created blobs to this queue, and nothing else does.",
        inner);

    public static FormatException ForeignContainer(string found, string expected) => new(
        $"The event is of a blob in the container `{found}`, expected `{expected}`. Check the subject filter of the Event Grid subscription.");

    public static InvalidDataException StatusUnreadable(string blob, Exception? inner = null) => new(
        $"The document `{blob}` is not the status of a job: {inner?.Message ?? "it is `null`."} Delete it; the event will be tried again.", inner);

    public static InvalidOperationException StatusContended(string job, int attempts) => new(
        $"The status of the job `{job}` was changed by others {attempts} times in a row. The event will be tried again.");

    public static InvalidOperationException StatusVanished(string job) => new(
        $"The status of the job `{job}` was deleted while it was in work. The event will be tried again.");

    public static JobEndedException JobEnded(JobStatus status) => new($"The job `{status.Job}` is {status.State} already: another worker has ended it.")
    {
        Status = status,
    };

    public static FormatException NotABatchMessage(string reason, Exception? inner = null) => new(
        $"The message does not name a batch of a job: {reason}. Check that nothing but CloudShards puts messages on the queue `{StorageNames.Batches}`.", inner);

    public static InvalidDataException DocumentMissing(string blob) => new(
        $"The document `{blob}` is missing, which a worker before wrote. Check that nothing deletes young blobs of the work container, then upload the file again.");

    public static InvalidDataException DocumentUnreadable(string blob, Exception? inner = null) => new(
        $"The document `{blob}` cannot be read: {inner?.Message ?? "it is `null`."} Another version of CloudShards may have written it: upload the file again.", inner);

    public static InvalidDataException ReceiptMismatch(string job, int batch, int found, int expected) => new(
        $"The receipt of batch {batch} of the job `{job}` names {found} shards, the plan has {expected}. "
        + "Another version of CloudShards may have written it: upload the file again.");

    public static InvalidDataException ReceiptOutdated(string job, int batch) => new(
        $"The receipt of batch {batch} of the job `{job}` names other shards than the upload has. "
        + "Another version of CloudShards may have written it: upload the file again.");

    public static JobError GaveUp(JobError? last) => last is null
        ? new("GaveUp", "The event was tried too often, each time by a worker that ended without a word: most likely it ran out of memory or time. "
            + "Give the workers more memory, then upload the file again.")
        : last with { Message = $"{last.Message} The event was tried too often. Once the cause is mended, upload the file again." };

    public static CheckpointFormatException SetIncomplete(string index, IReadOnlyCollection<string> missing) => new(
        CheckpointError.Truncated,
        $"The set of `{index}` lacks {string.Join(", ", missing.Select(file => $"`{file}`"))}. Upload every file that the index names beside it.");

    public static CheckpointFormatException InFileOfSet(string file, CheckpointFormatException refusal) => new(
        refusal.Error, $"In the set's file `{file}`: {refusal.Message}", refusal.Offset, refusal.Tensor, refusal);

    public static CheckpointFormatException IndexTooLong(string index, long bytes, int limit) => new(
        CheckpointError.LimitExceeded,
        $"The index `{index}` has {bytes:N0} bytes, above the limit of {limit:N0}. If it is trusted, raise `CheckpointLimits.{nameof(CheckpointLimits.MaxHeaderBytes)}`.");
}
