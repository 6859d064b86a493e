using CloudShards.Formats;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace CloudShards;

/// <summary>How a checkpoint is read.</summary>
public sealed record ShardedCheckpointOptions
{
    /// <summary>
    /// Requests that may run at once, over all reads of the checkpoint; at least 1. Default 32: small ones spend their time waiting for the service. Of
    /// large ones <see cref="MaxBytesInFlight"/> lets fewer run.
    /// </summary>
    public int MaxConcurrency
    {
        get;
        init
        {
            ArgumentOutOfRangeException.ThrowIfLessThan(value, 1);
            field = value;
        }
    } = 32;

    /// <summary>
    /// Bytes that one request may ask for, at least 1; default 8 MiB. It is rounded down to whole chunks of the manifest, and to one chunk
    /// at least, so that each chunk arrives whole and can be verified. Requests to packs, which bring many small tensors, are not rounded.
    /// </summary>
    public int MaxRequestBytes
    {
        get;
        init
        {
            ArgumentOutOfRangeException.ThrowIfLessThan(value, 1);
            field = value;
        }
    } = 8 << 20;

    /// <summary>
    /// Bytes that running requests together may have asked for, over all reads of the checkpoint, at least 1; default 64 MiB. It bounds
    /// what is taken beside the callers' own memory. A single request may be larger, and then runs alone.
    /// </summary>
    public long MaxBytesInFlight
    {
        get;
        init
        {
            ArgumentOutOfRangeException.ThrowIfLessThan(value, 1);
            field = value;
        }
    } = 64 << 20;

    /// <summary>
    /// What bounds the requests of this checkpoint together with those of others, in place of <see cref="MaxBytesInFlight"/>; of one call, <see cref="MaxConcurrency"/>
    /// run at most in any case. Null, the default: a budget of its own.
    /// </summary>
    /// <example>
    /// Two models that are loaded at once, within 64 MiB of requests: <code>
    /// var options = new ShardedCheckpointOptions { Budget = new(maxRequests: 32, maxBytes: 64 &lt;&lt; 20) };
    /// </code>
    /// </example>
    public RequestBudget? Budget { get; init; }

    /// <summary>
    /// The most unwanted bytes that are read, and dropped, between two runs of a slice, or two tensors of a pack, rather than making a request for each; default
    /// 256 KiB, about what arrives in the time that a request takes. 0 reads no byte that is not wanted.
    /// </summary>
    public int MaxGapBytes
    {
        get;
        init
        {
            ArgumentOutOfRangeException.ThrowIfNegative(value);
            field = value;
        }
    } = 256 << 10;

    /// <summary>What is verified of the bytes that arrive. Default <see cref="ShardVerification.Chunks"/>.</summary>
    public ShardVerification Verification { get; init; } = ShardVerification.Chunks;

    /// <summary>
    /// A folder on this machine in which shards that were read whole and verified are kept, by digest, so that they are read from there
    /// next time, by any process that names the folder. Null, the default: none. It need not exist, and no failure of it fails a read.
    /// </summary>
    public string? CacheFolder { get; init; }

    /// <summary>
    /// Bytes that the files of <see cref="CacheFolder"/> may have together, those being written included, at least 1; default 64 GiB.
    /// Where there is no room, the shards that were not used for longest are deleted, whoever wrote them, but none that this checkpoint
    /// names: of a checkpoint that is larger, as much as there is room for stays. Checkpoints may name one folder with different bounds;
    /// each writes only where the folder with it is within its own, and deletes for that.
    /// </summary>
    public long CacheMaxBytes
    {
        get;
        init
        {
            ArgumentOutOfRangeException.ThrowIfLessThan(value, 1);
            field = value;
        }
    } = 64L << 30;

    /// <summary>Told what a person should know: damaged chunks, a service that is asked too much, a cache that fails. Default nobody.</summary>
    public ILogger Logger { get; init; } = NullLogger.Instance;

    /// <summary>The clock of rates and of waits between attempts. Default the system's.</summary>
    public TimeProvider TimeProvider { get; init; } = TimeProvider.System;

    /// <summary>Bounds on what the manifest may ask of its reader.</summary>
    public CheckpointLimits Limits { get; init; } = CheckpointLimits.Default;
}

/// <summary>What is verified of a shard's bytes when they arrive.</summary>
public enum ShardVerification
{
    /// <summary>Every chunk that arrives whole, against its sum in the manifest.</summary>
    Chunks,

    /// <summary>Lengths alone.</summary>
    None,

    /// <summary>
    /// As <see cref="Chunks"/>, and the SHA-256 of every shard that one call reads whole, by one read or by reads that follow each other.
    /// Shards are hashed side by side while others are read, but one alone takes as long as its hash.
    /// </summary>
    Digest,
}
