using System.Collections.Immutable;
using System.Text.Json;
using System.Text.Json.Serialization;
using CloudShards.Formats;

namespace CloudShards.Sharding;

/// <summary>How far the sharding of one upload is: the document <c>jobs/{job}/status.json</c> in the work container.</summary>
public sealed record JobStatus
{
    /// <summary>The job's id: a hash of path and ETag of the upload, or of all files of the set.</summary>
    public required string Job { get; init; }

    /// <summary>How far it is.</summary>
    public required JobState State { get; init; }

    /// <summary>The upload's path.</summary>
    public required string Path { get; init; }

    /// <summary>The version of the upload.</summary>
    [JsonPropertyName("etag")]
    public required string ETag { get; init; }

    /// <summary>The checkpoint's name; null as long as it is not known.</summary>
    public string? Name { get; init; }

    /// <summary>The published manifest, as <c>name@sha256:…</c>; null until then.</summary>
    public string? Reference { get; init; }

    /// <summary>Shards done, of how many.</summary>
    public JobProgress Shards { get; init; }

    /// <summary>Bytes done, of how many.</summary>
    public JobProgress Bytes { get; init; }

    /// <summary>Shards that were not there before.</summary>
    public int ShardsCreated { get; init; }

    /// <summary>Bytes a second since the first attempt began; null before anything is done.</summary>
    public long? BytesPerSecond => Bytes.Done > 0 && UpdatedAt > StartedAt ? (long)(Bytes.Done / (UpdatedAt - StartedAt).TotalSeconds) : null;

    /// <summary>When the batches were handed to other workers; null where one worker writes them all.</summary>
    public DateTimeOffset? DispatchedAt { get; init; }

    /// <summary>The job of the set that the upload is a file of; null where it is none.</summary>
    public string? Set { get; init; }

    /// <summary>The files that an incomplete set still lacks, a hundred of them at most; null unless the job waits for them.</summary>
    public ImmutableArray<string>? WaitsFor { get; init; }

    /// <summary>How many files the set lacks; null unless the job waits for them.</summary>
    public int? WaitsForCount { get; init; }

    /// <summary>
    /// When a set goes on of which only some files were replaced, unless another is until then (<see cref="ShardingOptions.SetQuietPeriod"/>); null unless
    /// the job waits for that.
    /// </summary>
    public DateTimeOffset? SettlesAt { get; init; }

    /// <summary>Until when a worker has the job for itself, which it prolongs while it works; null where none has.</summary>
    public DateTimeOffset? ClaimedUntil { get; init; }

    /// <summary>The batches whose receipts were older than this are on their queue again, to be checked once more; null where none are.</summary>
    public DateTimeOffset? RecheckedBefore { get; init; }

    /// <summary>Why it failed, or why the last attempt did.</summary>
    public JobError? Error { get; init; }

    /// <summary>When the first attempt began.</summary>
    public required DateTimeOffset StartedAt { get; init; }

    /// <summary>When this document was written.</summary>
    public required DateTimeOffset UpdatedAt { get; init; }

    /// <summary>Whether the job is over.</summary>
    [JsonIgnore]
    public bool IsFinal => State is not (JobState.Sharding or JobState.Waiting);
}

/// <summary>The states of a job.</summary>
public enum JobState
{
    /// <summary>In work.</summary>
    Sharding,

    /// <summary>
    /// The upload is a file of a set that is not complete, or is being replaced; <see cref="JobStatus.WaitsFor"/> and <see cref="JobStatus.SettlesAt"/> say
    /// what it waits for.
    /// </summary>
    Waiting,

    /// <summary>The manifest is published.</summary>
    Committed,

    /// <summary>The upload was overwritten meanwhile; the newer one has a job of its own.</summary>
    Superseded,

    /// <summary>The upload was refused, or was tried too often. <see cref="JobStatus.Error"/> says why and what to do.</summary>
    Failed,
}

/// <summary>Something done, of how much.</summary>
/// <param name="Done">Done.</param>
/// <param name="Total">Of how much; 0 as long as it is not known.</param>
public readonly record struct JobProgress(long Done, long Total);

/// <summary>Why a job failed.</summary>
/// <param name="Cause">A <see cref="CheckpointError"/> or the name of an exception.</param>
/// <param name="Message">What was found where, and what to do.</param>
/// <param name="Offset">The byte of the file, where one is known.</param>
/// <param name="Tensor">The tensor, where there is one.</param>
public sealed record JobError(string Cause, string Message, long? Offset = null, string? Tensor = null)
{
    /// <summary>The error that an exception is.</summary>
    public static JobError Of(Exception exception) => exception is CheckpointFormatException refusal
        ? new(refusal.Error.ToString(), refusal.Message, refusal.Offset, refusal.Tensor)
        : new((exception ?? throw new ArgumentNullException(nameof(exception))).GetType().Name, exception.Message);
}

[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase,
    DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
    Converters = [typeof(CamelCaseStates)])]
[JsonSerializable(typeof(JobStatus))]
[JsonSerializable(typeof(BlobCreated))]
internal sealed partial class JobJson : JsonSerializerContext;

internal sealed class CamelCaseStates() : JsonStringEnumConverter<JobState>(JsonNamingPolicy.CamelCase);
