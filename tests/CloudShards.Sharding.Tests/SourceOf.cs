using System.Collections.Concurrent;
using CloudShards.Formats;

namespace CloudShards.Sharding.Tests;

/// <summary>A source of bytes in memory, which a test may overwrite.</summary>
internal sealed class SourceOf(ReadOnlyMemory<byte> content, DateTimeOffset uploadedAt) : ICheckpointSource
{
    private readonly ConcurrentQueue<ByteRange> _reads = [];

    public string Path { get; init; } = "model.safetensors";

    public string ETag { get; init; } = "0x1";

    public long Length => content.Length;

    public DateTimeOffset UploadedAt => uploadedAt;

    /// <summary>Whether somebody has overwritten it since.</summary>
    public bool IsChanged { get; set; }

    /// <summary>Called with each range before it is read.</summary>
    public Action<ByteRange> Reading { get; set; } = _ => { };

    /// <summary>The ranges that were read.</summary>
    public IReadOnlyList<ByteRange> Reads => [.. _reads];

    public async ValueTask ReadAsync(long offset, Memory<byte> destination, CancellationToken cancellationToken)
    {
        var range = new ByteRange(offset, destination.Length);
        _reads.Enqueue(range);
        Reading(range);
        await EnsureUnchangedAsync(cancellationToken);
        content.Slice((int)offset, destination.Length).CopyTo(destination);
    }

    public ValueTask EnsureUnchangedAsync(CancellationToken cancellationToken) =>
        IsChanged ? throw new SourceChangedException("It was overwritten.") : ValueTask.CompletedTask;
}
