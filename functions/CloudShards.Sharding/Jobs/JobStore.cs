using System.Buffers;
using System.Security.Cryptography;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;

namespace CloudShards.Sharding;

/// <summary>The documents of jobs, in the work container.</summary>
/// <param name="work">The container.</param>
/// <param name="clock">The clock of their times.</param>
internal sealed class JobStore(IShardStore work, TimeProvider clock)
{
    private const int MaxStatusBytes = 1 << 20;

    // Each attempt that fails is another worker's that succeeded, and each of them writes a bounded number of times.
    private const int MaxAttempts = 100;

    // People read it: only what JSON must have escaped is.
    private static readonly JsonWriterOptions Readable = new() { Indented = true, Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>The id of the job for one version of an upload: repeated events meet the same job.</summary>
    public static string IdOf(string path, string etag) => IdOf([(path, etag)]);

    /// <summary>The id of the job for one version of each of several files.</summary>
    public static string IdOf(IEnumerable<(string Path, string ETag)> files) => Convert.ToHexStringLower(
        SHA256.HashData(Encoding.UTF8.GetBytes(string.Join('\n', files.Select(file => $"{file.Path}\n{file.ETag}")))).AsSpan(0, 16));

    /// <summary>Reads a job's status, or returns null where there is none.</summary>
    /// <exception cref="InvalidDataException">What is there is no status.</exception>
    public async Task<JobStatus?> TryReadAsync(string job, CancellationToken cancellationToken)
    {
        var document = await work.TryReadDocumentAsync(BlobOf(job), MaxStatusBytes, cancellationToken).ConfigureAwait(false);
        return document is null ? null : Parse(job, document);
    }

    /// <summary>
    /// Brings a status up to date. A final state stays; where several workers write at once, each change is made to what the others left.
    /// </summary>
    /// <param name="job">The job's id.</param>
    /// <param name="change">What becomes of the present status, or of none. Nothing is written where it gives back what it was given.</param>
    /// <param name="cancellationToken">Ends it.</param>
    public async Task<JobStatus> UpdateAsync(string job, Func<JobStatus?, JobStatus> change, CancellationToken cancellationToken)
    {
        for (var attempt = 0; attempt < MaxAttempts; attempt++)
        {
            if (await TryUpdateAsync(job, change, cancellationToken).ConfigureAwait(false) is { } status)
            {
                return status;
            }
        }

        throw Errors.StatusContended(job, MaxAttempts);
    }

    /// <summary>As <see cref="UpdateAsync"/>, but returns null where another worker was faster, whose word then stands.</summary>
    public async Task<JobStatus?> TryUpdateAsync(string job, Func<JobStatus?, JobStatus> change, CancellationToken cancellationToken)
    {
        var document = await work.TryReadDocumentAsync(BlobOf(job), MaxStatusBytes, cancellationToken).ConfigureAwait(false);
        var present = document is null ? null : Parse(job, document);
        if (present is { IsFinal: true })
        {
            return present;
        }

        var changed = change(present);
        if (ReferenceEquals(changed, present))
        {
            return present;
        }

        var status = changed with
        {
            UpdatedAt = clock.GetUtcNow(),
            ClaimedUntil = changed.IsFinal ? null : changed.ClaimedUntil,
            SettlesAt = changed.IsFinal ? null : changed.SettlesAt,
        };
        if (!await work.TryReplaceAsync(BlobOf(job), ToUtf8(status), document?.Version, cancellationToken).ConfigureAwait(false))
        {
            return null;
        }

        ShardingTelemetry.Changed(status);
        return status;
    }

    /// <summary>
    /// Lets the job of one file of a set say what the set's job says. A file is part of another set once a file beside it is replaced, so that
    /// here a final state does not stay; but who was overtaken is silent.
    /// </summary>
    public async Task MirrorAsync(JobStatus set, string path, string etag, CancellationToken cancellationToken)
    {
        var job = IdOf(path, etag);
        var utf8 = ToUtf8(set with { Job = job, Path = path, ETag = etag, Set = set.Job, ClaimedUntil = null, UpdatedAt = clock.GetUtcNow() });
        for (var attempt = 0; attempt < MaxAttempts; attempt++)
        {
            var document = await work.TryReadDocumentAsync(BlobOf(job), MaxStatusBytes, cancellationToken).ConfigureAwait(false);
            if ((document is not null && IsOvertaken(set, Parse(job, document)))
                || await work.TryReplaceAsync(BlobOf(job), utf8, document?.Version, cancellationToken).ConfigureAwait(false))
            {
                return;
            }
        }

        throw Errors.StatusContended(job, MaxAttempts);
    }

    /// <summary>Whether a set need not speak for one of its files: the file says as much already, or has heard of a later set.</summary>
    /// <param name="set">What the set's job says.</param>
    /// <param name="file">What the file's job says.</param>
    public static bool IsOvertaken(JobStatus set, JobStatus file)
    {
        // Whoever tells how far the set is may have read it before it was over.
        if (file.Set == set.Job)
        {
            return file.IsFinal && (!set.IsFinal || file.State == set.State);
        }

        // A set is superseded when another takes its place, which speaks for the files that both have.
        return (file.IsFinal || file.Set is not null)
            && (set.State == JobState.Superseded || file.StartedAt > set.StartedAt || (file.StartedAt == set.StartedAt && !set.IsFinal));
    }

    private static JobStatus Parse(string job, StoredDocument document)
    {
        try
        {
            return JsonSerializer.Deserialize(document.Content.Span, JobJson.Default.JobStatus) ?? throw Errors.StatusUnreadable(BlobOf(job));
        }
        catch (JsonException e)
        {
            throw Errors.StatusUnreadable(BlobOf(job), e);
        }
    }

    private static ReadOnlyMemory<byte> ToUtf8(JobStatus status)
    {
        var utf8 = new ArrayBufferWriter<byte>();
        using (var writer = new Utf8JsonWriter(utf8, Readable))
        {
            JsonSerializer.Serialize(writer, status, JobJson.Default.JobStatus);
        }

        return utf8.WrittenMemory;
    }

    private static string BlobOf(string job) => $"jobs/{job}/status.json";
}
