using System.Buffers;
using System.Runtime.CompilerServices;
using System.Text;
using Azure;
using Azure.Storage;
using Azure.Storage.Blobs;
using Azure.Storage.Blobs.Models;
using Azure.Storage.Blobs.Specialized;

namespace CloudShards;

/// <summary>
/// Shards in a blob container. Reading needs the role Storage Blob Data Reader on the container and never lists it; writing needs Storage
/// Blob Data Contributor. Retries are those of the client's options.
/// </summary>
/// <param name="container">The container, with whatever credential its client was made with.</param>
public sealed class BlobShardStore(BlobContainerClient container) : IShardStore
{
    private const int MaxBlocks = 50_000;

    // What is in memory and longer than this is sent in blocks, several at once: one connection is slower than the service. Blocks above 4 MiB are the fast ones.
    private const int MaxPutBytes = 16 << 20;
    private const int BlockBytes = 8 << 20;
    private const int BlocksAtOnce = 4;

    // A damaged shard would be found by its readers but never mended, for a shard that exists is taken as done. So the service checks what
    // it received, for 1.6 s of processor time a GiB. MD5 and not the cheaper CRC-64: emulators store the latter's framing as content.
    private static readonly UploadTransferValidationOptions Validated = new() { ChecksumAlgorithm = StorageChecksumAlgorithm.MD5 };

    private readonly BlobContainerClient _container = container ?? throw new ArgumentNullException(nameof(container));

    /// <summary>The container's name.</summary>
    internal string Container => _container.Name;

    /// <inheritdoc/>
    public ValueTask ReadAsync(string name, long offset, Memory<byte> destination, CancellationToken cancellationToken) =>
        ReadRangeAsync(name, blob => BlobRange.ReadAsync(blob, offset, destination, null, cancellationToken));

    /// <inheritdoc/>
    public ValueTask ReadAsync(string name, long offset, int length, Action<ReadOnlySpan<byte>> take, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(take);
        return ReadRangeAsync(name, blob => BlobRange.ReadAsync(blob, offset, length, take, cancellationToken));
    }

    private async ValueTask ReadRangeAsync(string name, Func<BlobBaseClient, ValueTask> readAsync)
    {
        try
        {
            await readAsync(_container.GetBlobBaseClient(name)).ConfigureAwait(false);
        }
        catch (RequestFailedException e) when (IsBlobMissing(e))
        {
            throw Errors.ShardMissing(name, _container.Name, e);
        }
    }

    /// <inheritdoc/>
    public void Read(string name, long offset, Span<byte> destination, CancellationToken cancellationToken)
    {
        try
        {
            BlobRange.Read(_container.GetBlobBaseClient(name), offset, destination, null, cancellationToken);
        }
        catch (RequestFailedException e) when (IsBlobMissing(e))
        {
            throw Errors.ShardMissing(name, _container.Name, e);
        }
    }

    /// <inheritdoc/>
    public async ValueTask<StoredDocument?> TryReadDocumentAsync(string name, int maxBytes, CancellationToken cancellationToken)
    {
        var blob = _container.GetBlobBaseClient(name);
        Response<BlobDownloadStreamingResult> response;
        try
        {
            response = await blob.DownloadStreamingAsync(cancellationToken: cancellationToken).ConfigureAwait(false);
        }
        catch (RequestFailedException e) when (IsBlobMissing(e))
        {
            return null;
        }

        using var result = response.Value;
        var raw = response.GetRawResponse();
        if (raw.Status != 200)
        {
            throw Errors.WrongAnswer(name, null, raw);
        }

        if (raw.Headers.ContentLengthLong > maxBytes)
        {
            throw Errors.DocumentTooLong(name, maxBytes);
        }

        var content = await ReadToEndAsync(name, result.Content, maxBytes, cancellationToken).ConfigureAwait(false);
        return new(content, BlobRange.Quoted(result.Details.ETag).ToString());
    }

    /// <inheritdoc/>
    public async ValueTask<StoredBlob?> TryFindAsync(string name, CancellationToken cancellationToken)
    {
        var blob = _container.GetBlobBaseClient(name);
        try
        {
            var response = await blob.GetPropertiesAsync(cancellationToken: cancellationToken).ConfigureAwait(false);

            // The library reports 0 where the server left the length out.
            var raw = response.GetRawResponse();
            return new(name, raw.Headers.ContentLengthLong ?? throw Errors.WrongAnswer(name, null, raw), response.Value.LastModified);
        }
        catch (RequestFailedException e) when (IsBlobMissing(e))
        {
            return null;
        }
    }

    /// <inheritdoc/>
    public async ValueTask<bool> TryCreateAsync(string name, ReadOnlyMemory<byte> content, CancellationToken cancellationToken)
    {
        if (content.Length <= MaxPutBytes)
        {
            return await TryPutAsync(name, content, new() { IfNoneMatch = ETag.All }, cancellationToken).ConfigureAwait(false);
        }

        var blob = _container.GetBlockBlobClient(name);
        var attempt = Guid.NewGuid();
        string[] ids = [.. Enumerable.Range(0, (int)(((long)content.Length + BlockBytes - 1) / BlockBytes)).Select(block => BlockId(attempt, block))];
        var parallel = new ParallelOptions { MaxDegreeOfParallelism = BlocksAtOnce, CancellationToken = cancellationToken };
        await Parallel.ForAsync(0, ids.Length, parallel, async (block, token) =>
        {
            var at = block * BlockBytes;
            await StageAsync(blob, ids[block], content.Slice(at, Math.Min(BlockBytes, content.Length - at)), token).ConfigureAwait(false);
        }).ConfigureAwait(false);
        return await TryCommitAsync(name, ids, content.Length, cancellationToken).ConfigureAwait(false);
    }

    /// <inheritdoc/>
    public async ValueTask<bool> TryCreateAsync(
        string name, IAsyncEnumerable<ReadOnlyMemory<byte>> blocks, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(blocks);
        var blob = _container.GetBlockBlobClient(name);

        // Two writers may stage blocks of one blob at once: each commits those of its own attempt alone.
        var attempt = Guid.NewGuid();
        var ids = new List<string>();
        var staged = 0L;
        await foreach (var block in blocks.WithCancellation(cancellationToken).ConfigureAwait(false))
        {
            if (ids.Count == MaxBlocks)
            {
                throw Errors.TooManyBlocks(name, MaxBlocks);
            }

            ids.Add(BlockId(attempt, ids.Count));
            staged += block.Length;
            await StageAsync(blob, ids[^1], block, cancellationToken).ConfigureAwait(false);
        }

        return await TryCommitAsync(name, ids, staged, cancellationToken).ConfigureAwait(false);
    }

    /// <inheritdoc/>
    public ValueTask<bool> TryReplaceAsync(string name, ReadOnlyMemory<byte> content, string? version, CancellationToken cancellationToken)
    {
        var conditions = version is null
            ? new BlobRequestConditions { IfNoneMatch = ETag.All }
            : new BlobRequestConditions { IfMatch = new ETag(version) };
        return TryPutAsync(name, content, conditions, cancellationToken);
    }

    /// <inheritdoc/>
    public async IAsyncEnumerable<StoredBlob> ListAsync(string prefix, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        await foreach (var blob in _container.GetBlobsAsync(BlobTraits.None, BlobStates.None, prefix, cancellationToken).ConfigureAwait(false))
        {
            if (blob is { Properties: { ContentLength: { } bytes, LastModified: { } modifiedAt } })
            {
                yield return new(blob.Name, bytes, modifiedAt);
            }
        }
    }

    /// <inheritdoc/>
    public async ValueTask<bool> TryRenewAsync(string name, CancellationToken cancellationToken)
    {
        try
        {
            // Shards have no metadata; to write none changes their time alone.
            await _container.GetBlobBaseClient(name).SetMetadataAsync(new Dictionary<string, string>(), cancellationToken: cancellationToken).ConfigureAwait(false);
            return true;
        }
        catch (RequestFailedException e) when (IsBlobMissing(e))
        {
            return false;
        }
    }

    /// <inheritdoc/>
    public async ValueTask<bool> TryDeleteAsync(string name, DateTimeOffset unmodifiedSince, CancellationToken cancellationToken)
    {
        try
        {
            var conditions = new BlobRequestConditions { IfUnmodifiedSince = unmodifiedSince };
            await _container.GetBlobBaseClient(name).DeleteAsync(conditions: conditions, cancellationToken: cancellationToken).ConfigureAwait(false);
            return true;
        }
        catch (RequestFailedException e) when (e.Status == 412 || IsBlobMissing(e))
        {
            return false;
        }
    }

    /// <summary>The client of a blob whose blocks are staged by other means than <see cref="TryCreateAsync(string, IAsyncEnumerable{ReadOnlyMemory{byte}}, CancellationToken)"/>.</summary>
    internal BlockBlobClient BlockBlob(string name) => _container.GetBlockBlobClient(name);

    /// <summary>Makes a new blob of staged blocks; false where there is one already.</summary>
    /// <param name="name">Its name.</param>
    /// <param name="blocks">The ids of its blocks.</param>
    /// <param name="bytes">The length that it must have then. One that has another is deleted again.</param>
    /// <param name="cancellationToken">Ends it.</param>
    /// <exception cref="InvalidDataException">The blob had another length.</exception>
    internal async ValueTask<bool> TryCommitAsync(string name, IEnumerable<string> blocks, long bytes, CancellationToken cancellationToken)
    {
        var blob = _container.GetBlockBlobClient(name);
        try
        {
            var options = new CommitBlockListOptions { Conditions = new() { IfNoneMatch = ETag.All } };
            await blob.CommitBlockListAsync(blocks, options, cancellationToken).ConfigureAwait(false);
        }
        catch (RequestFailedException e) when (IsTaken(e))
        {
            return false;
        }

        var committed = await TryFindAsync(name, cancellationToken).ConfigureAwait(false);
        if (committed?.Bytes != bytes)
        {
            await TryDeleteWrongAsync(blob, cancellationToken).ConfigureAwait(false);
            throw Errors.CommittedLength(name, bytes, committed?.Bytes);
        }

        return true;
    }

    private static async Task StageAsync(BlockBlobClient blob, string id, ReadOnlyMemory<byte> block, CancellationToken cancellationToken)
    {
        using var stream = BinaryData.FromBytes(block).ToStream();
        await blob.StageBlockAsync(id, stream, new() { TransferValidation = Validated }, cancellationToken).ConfigureAwait(false);
    }

    // Where it cannot be deleted, that it is wrong is still the better thing to say.
    private static async ValueTask TryDeleteWrongAsync(BlockBlobClient blob, CancellationToken cancellationToken)
    {
        try
        {
            await blob.DeleteIfExistsAsync(cancellationToken: cancellationToken).ConfigureAwait(false);
        }
        catch (RequestFailedException)
        {
        }
    }

    /// <summary>Whether the blob is missing, and not its container.</summary>
    internal static bool IsBlobMissing(RequestFailedException e) => e.Status == 404 && e.ErrorCode != BlobErrorCode.ContainerNotFound;

    /// <summary>Whether a conditional write lost: the blob exists, or has another version.</summary>
    internal static bool IsTaken(RequestFailedException e) =>
        e.Status == 412 || (e.Status == 409 && e.ErrorCode == BlobErrorCode.BlobAlreadyExists);

    private async ValueTask<bool> TryPutAsync(
        string name, ReadOnlyMemory<byte> content, BlobRequestConditions conditions, CancellationToken cancellationToken)
    {
        var options = new BlobUploadOptions
        {
            Conditions = conditions,
            TransferValidation = Validated,

            // From this size on the client would cut the content into blocks.
            TransferOptions = new() { InitialTransferSize = content.Length + 1L },
        };
        try
        {
            using var stream = BinaryData.FromBytes(content).ToStream();
            await _container.GetBlockBlobClient(name).UploadAsync(stream, options, cancellationToken).ConfigureAwait(false);
            return true;
        }
        catch (RequestFailedException e) when (IsTaken(e))
        {
            return false;
        }
    }

    private static async ValueTask<ReadOnlyMemory<byte>> ReadToEndAsync(
        string name, Stream body, int maxBytes, CancellationToken cancellationToken)
    {
        const int PieceBytes = 64 << 10;
        var content = new ArrayBufferWriter<byte>(PieceBytes);
        while (true)
        {
            var read = await body.ReadAsync(content.GetMemory(PieceBytes), cancellationToken).ConfigureAwait(false);
            if (read == 0)
            {
                return content.WrittenMemory;
            }

            content.Advance(read);
            if (content.WrittenCount > maxBytes)
            {
                throw Errors.DocumentTooLong(name, maxBytes);
            }
        }
    }

    /// <summary>The id of a block of one writer's attempt. All ids of a blob must have one length, whoever stages them.</summary>
    internal static string BlockId(Guid attempt, int index) => Convert.ToBase64String(Encoding.ASCII.GetBytes($"{attempt:N}-{index:d5}"));
}
