using CloudShards.Formats;

namespace CloudShards;

/// <summary>How a checkpoint is read.</summary>
public sealed record ShardedCheckpointOptions
{
    /// <summary>Requests that may run at once, over all reads of the checkpoint; at least 1. Default 8.</summary>
    public int MaxConcurrency
    {
        get;
        init
        {
            ArgumentOutOfRangeException.ThrowIfLessThan(value, 1);
            field = value;
        }
    } = 8;

    /// <summary>
    /// Bytes that one request may ask for, at least 1; default 8 MiB. It is rounded down to whole chunks of the manifest, and to one chunk
    /// at least, so that each chunk arrives whole and can be verified.
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
    /// The most unwanted bytes that are read, and dropped, between two runs of a slice rather than making a request for each; default
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
