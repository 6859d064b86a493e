using System.Buffers;

namespace CloudShards;

/// <summary>
/// Where shards, manifests and tags live: a blob container (<see cref="BlobShardStore"/>) or a folder
/// (<see cref="DirectoryShardStore"/>). A name is <c>/</c>-separated; what a name holds never changes, except through
/// <see cref="TryReplaceAsync"/>. Refusals of the service or the file system that are not named here pass through as they are.
/// </summary>
public interface IShardStore
{
    /// <summary>Reads exactly <paramref name="destination"/>'s length of bytes, from byte <paramref name="offset"/> of a blob on.</summary>
    /// <exception cref="ShardNotFoundException">There is no such blob.</exception>
    /// <exception cref="InvalidDataException">The blob, or the server's answer, is shorter or other than what was asked for.</exception>
    ValueTask ReadAsync(string name, long offset, Memory<byte> destination, CancellationToken cancellationToken);

    /// <summary>
    /// Reads <paramref name="length"/> bytes, from byte <paramref name="offset"/> of a blob on, and hands them over in order, in pieces of any
    /// length: soon after they came where the store can, so that they are still in the processor's cache, and none of it needs memory of the whole
    /// length. A piece is valid during the call alone. What <paramref name="take"/> throws ends the read and is thrown.
    /// </summary>
    /// <inheritdoc cref="ReadAsync(string, long, Memory{byte}, CancellationToken)" path="/exception"/>
    async ValueTask ReadAsync(string name, long offset, int length, Action<ReadOnlySpan<byte>> take, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(take);
        var buffer = ArrayPool<byte>.Shared.Rent(length);
        try
        {
            var content = buffer.AsMemory(0, length);
            await ReadAsync(name, offset, content, cancellationToken).ConfigureAwait(false);
            take(content.Span);
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
    }

    /// <summary>As <see cref="ReadAsync(string, long, Memory{byte}, CancellationToken)"/>, for callers whose own interface is synchronous: it blocks on the socket, not on a task.</summary>
    void Read(string name, long offset, Span<byte> destination, CancellationToken cancellationToken);

    /// <summary>Reads a whole small blob, or returns null where there is none.</summary>
    /// <exception cref="InvalidDataException">The blob has more than <paramref name="maxBytes"/> bytes.</exception>
    ValueTask<StoredDocument?> TryReadDocumentAsync(string name, int maxBytes, CancellationToken cancellationToken);

    /// <summary>What the store says of a blob, or null where there is none.</summary>
    ValueTask<StoredBlob?> TryFindAsync(string name, CancellationToken cancellationToken);

    /// <summary>The blobs whose names begin with a prefix, in no order. Opening and reading checkpoints never lists.</summary>
    IAsyncEnumerable<StoredBlob> ListAsync(string prefix, CancellationToken cancellationToken);

    /// <summary>Creates a blob, which appears whole or not at all; false where it is there already, which then stays as it is.</summary>
    ValueTask<bool> TryCreateAsync(string name, ReadOnlyMemory<byte> content, CancellationToken cancellationToken);

    /// <summary>
    /// Creates a large blob from blocks, which appear as one at the end or, where the enumeration throws, not at all; false where it is
    /// there already. A block is used up before the next is asked for. At most 50,000 blocks.
    /// </summary>
    ValueTask<bool> TryCreateAsync(string name, IAsyncEnumerable<ReadOnlyMemory<byte>> blocks, CancellationToken cancellationToken);

    /// <summary>
    /// Writes a small blob if it still is the <paramref name="version"/> that was read (null: if there is none); false where somebody else
    /// was faster.
    /// </summary>
    ValueTask<bool> TryReplaceAsync(string name, ReadOnlyMemory<byte> content, string? version, CancellationToken cancellationToken);

    /// <summary>Makes now the time of a blob's last change; false where there is no such blob.</summary>
    ValueTask<bool> TryRenewAsync(string name, CancellationToken cancellationToken);

    /// <summary>Deletes a blob that was neither written nor renewed after a time; false where it was, or where there is none.</summary>
    ValueTask<bool> TryDeleteAsync(string name, DateTimeOffset unmodifiedSince, CancellationToken cancellationToken);
}

/// <summary>A blob that is in the store.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Bytes">Its length.</param>
/// <param name="ModifiedAt">When it was last written or renewed, to the second.</param>
public sealed record StoredBlob(string Name, long Bytes, DateTimeOffset ModifiedAt);

/// <summary>A small blob and the version that was read.</summary>
/// <param name="Content">Its bytes.</param>
/// <param name="Version">An opaque text that changes whenever the content does (a blob's ETag, a file's SHA-256).</param>
public sealed record StoredDocument(ReadOnlyMemory<byte> Content, string Version);
