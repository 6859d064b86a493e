using Azure;
using Azure.Storage.Blobs.Models;
using CloudShards.Formats;
using Microsoft.Extensions.Logging;

namespace CloudShards.Sharding;

/// <summary>
/// Lets the storage service copy a shard from the upload's bytes (Put Block From URL, then Put Block List), so that they never travel up from the
/// worker. Where the service refuses that, it is not asked again for a while: the worker streams.
/// </summary>
/// <param name="shards">The store to copy to.</param>
/// <param name="access">Lets the service read the uploads.</param>
/// <param name="clock">The clock of that while.</param>
/// <param name="log">Is told of a refusal.</param>
internal sealed class ServerSideCopy(BlobShardStore shards, SourceAccess access, TimeProvider clock, ILogger log)
{
    /// <summary>
    /// Bytes of a block: few requests for a large shard, and below the 100 MiB that every version of the service takes. With the service's 50,000 blocks a
    /// shard may have 3 TiB.
    /// </summary>
    public const int BlockBytes = 64 << 20;

    private const int MaxConcurrency = 4;
    private const int MaxAddressLength = 2048;
    private const string CannotVerifyCopySource = "CannotVerifyCopySource";

    // Roles take minutes until they hold, and a refusal may have been about one upload.
    private static readonly TimeSpan RefusalLifetime = TimeSpan.FromMinutes(10);

    private long _refusedUntil;

    /// <summary>Whether the service is able to, as far as is known.</summary>
    public bool IsPossible => clock.GetUtcNow().UtcTicks >= Volatile.Read(ref _refusedUntil);

    /// <summary>Copies a shard.</summary>
    /// <param name="sums">What it is.</param>
    /// <param name="source">The upload.</param>
    /// <param name="range">Where its bytes lie there.</param>
    /// <param name="hashes">The MD5 of each of its blocks.</param>
    /// <param name="cancellationToken">Ends it.</param>
    /// <returns>
    /// Whether it was created: false where the shard is there, or the service's answer was lost. Null where the service cannot, so that the bytes must be sent.
    /// </returns>
    /// <exception cref="SourceChangedException">The upload was overwritten meanwhile.</exception>
    public async Task<bool?> TryCopyAsync(
        ShardSums sums, BlobCheckpointSource source, ByteRange range, IReadOnlyList<byte[]> hashes, CancellationToken cancellationToken)
    {
        var name = StoreLayout.Shard(sums.Digest);
        var attempt = Guid.NewGuid();
        try
        {
            var address = await access.AddressOfAsync(source.Blob, cancellationToken).ConfigureAwait(false);
            if (address.AbsoluteUri.Length > MaxAddressLength)
            {
                return null;
            }

            var parallel = new ParallelOptions { MaxDegreeOfParallelism = MaxConcurrency, CancellationToken = cancellationToken };
            await Parallel.ForAsync(0, hashes.Count, parallel, async (block, token) =>
            {
                var at = (long)block * BlockBytes;
                var options = new StageBlockFromUriOptions
                {
                    SourceRange = new HttpRange(range.Offset + at, Math.Min(BlockBytes, range.Length - at)),
                    SourceConditions = new RequestConditions { IfMatch = BlobRange.Quoted(new ETag(source.ETag)) },
                    SourceContentHash = hashes[block],
                };
                await shards.BlockBlob(name).StageBlockFromUriAsync(address, BlobShardStore.BlockId(attempt, block), options, token).ConfigureAwait(false);
            }).ConfigureAwait(false);
        }
        catch (RequestFailedException e) when (e.Status == 412)
        {
            throw Errors.SourceChanged(source.Path, e);
        }
        catch (RequestFailedException e) when (IsRefusal(e))
        {
            // A source that is gone, or another one by now, is refused likewise.
            await source.EnsureUnchangedAsync(cancellationToken).ConfigureAwait(false);
            var until = e.Status == 501 ? DateTimeOffset.MaxValue : clock.GetUtcNow() + RefusalLifetime;
            Volatile.Write(ref _refusedUntil, until.UtcTicks);
            Log.CopyRefused(log, e.Status, e.ErrorCode, until, e);
            return null;
        }

        var ids = Enumerable.Range(0, hashes.Count).Select(block => BlobShardStore.BlockId(attempt, block));
        return await shards.TryCommitAsync(name, ids, range.Length, cancellationToken).ConfigureAwait(false);
    }

    // Not implemented; the service may not read the source (401, 403 and 404 of the copy; Azurite says 500 and nothing else where the address is signed for an
    // account); or this identity may not ask for a key. A range that is refused (416) or a wrong hash (400) is an error of ours or damage, and no reason to try
    // it another way.
    private static bool IsRefusal(RequestFailedException e) =>
        e.Status is 501 or 401 or 403 || (e.Status == 404 && e.ErrorCode == CannotVerifyCopySource) || (e.Status == 500 && string.IsNullOrEmpty(e.ErrorCode));
}
