using Azure;
using Azure.Storage.Blobs.Models;
using Azure.Storage.Blobs.Specialized;

namespace CloudShards.Sharding;

/// <summary>An uploaded blob. Every read after the first request carries <c>If-Match</c>, so that no two of them see different versions.</summary>
public sealed class BlobCheckpointSource : ICheckpointSource
{
    private readonly BlobBaseClient _blob;
    private readonly ETag _etag;

    private BlobCheckpointSource(BlobBaseClient blob, BlobProperties properties) =>
        (_blob, _etag, Length, UploadedAt) = (blob, properties.ETag, properties.ContentLength, properties.LastModified);

    /// <summary>The blob.</summary>
    internal BlobBaseClient Blob => _blob;

    /// <inheritdoc/>
    public string Path => _blob.Name;

    /// <inheritdoc/>
    public long Length { get; }

    /// <inheritdoc/>
    public string ETag => UploadEvent.TextOf(_etag);

    /// <inheritdoc/>
    public DateTimeOffset UploadedAt { get; }

    /// <summary>Opens the version of a blob that an event told of.</summary>
    /// <param name="blob">The blob.</param>
    /// <param name="etag">That version, or null for the present one.</param>
    /// <param name="cancellationToken">Ends the request.</param>
    /// <exception cref="SourceChangedException">The blob is gone, or has another version by now.</exception>
    public static async Task<BlobCheckpointSource> OpenAsync(BlobBaseClient blob, ETag? etag, CancellationToken cancellationToken) =>
        new(blob, await GetPropertiesAsync(blob, etag, cancellationToken).ConfigureAwait(false));

    /// <inheritdoc/>
    public async ValueTask ReadAsync(long offset, Memory<byte> destination, CancellationToken cancellationToken)
    {
        try
        {
            await BlobRange.ReadAsync(_blob, offset, destination, _etag, cancellationToken).ConfigureAwait(false);
        }
        catch (RequestFailedException e) when (IsChange(e))
        {
            throw Errors.SourceChanged(Path, e);
        }
    }

    /// <inheritdoc/>
    public async ValueTask EnsureUnchangedAsync(CancellationToken cancellationToken) =>
        await GetPropertiesAsync(_blob, _etag, cancellationToken).ConfigureAwait(false);

    private static async Task<BlobProperties> GetPropertiesAsync(BlobBaseClient blob, ETag? etag, CancellationToken cancellationToken)
    {
        try
        {
            return await blob.GetPropertiesAsync(new BlobRequestConditions { IfMatch = etag }, cancellationToken).ConfigureAwait(false);
        }
        catch (RequestFailedException e) when (IsChange(e))
        {
            throw Errors.SourceChanged(blob.Name, e);
        }
    }

    // A missing container is a wrong setting, not a change of the file.
    private static bool IsChange(RequestFailedException e) => e.Status == 412 || (e.Status == 404 && e.ErrorCode != BlobErrorCode.ContainerNotFound);
}
