using Azure.Storage.Blobs;
using Azure.Storage.Blobs.Models;
using Azure.Storage.Blobs.Specialized;
using Azure.Storage.Sas;

namespace CloudShards.Sharding;

/// <summary>
/// Addresses of uploads by which the storage service may read them: signed with the account's key where the client has it, else with a user
/// delegation key of its identity, which needs the role Storage Blob Delegator. A client that has a SAS itself passes it on.
/// </summary>
/// <param name="uploads">The uploads.</param>
/// <param name="clock">The clock of the signatures.</param>
internal sealed class SourceAccess(BlobContainerClient uploads, TimeProvider clock)
{
    private static readonly TimeSpan Lifetime = TimeSpan.FromHours(2);
    private static readonly TimeSpan KeyLifetime = TimeSpan.FromHours(12);

    // The service's clock may be behind this one's.
    private static readonly TimeSpan Skew = TimeSpan.FromMinutes(15);

    private UserDelegationKey? _key;

    /// <summary>The address of an upload, readable for two hours.</summary>
    public async Task<Uri> AddressOfAsync(BlobBaseClient blob, CancellationToken cancellationToken)
    {
        var now = clock.GetUtcNow();
        if (blob.CanGenerateSasUri)
        {
            return blob.GenerateSasUri(SasOf(blob, now));
        }

        if (blob.Uri.Query.Contains("sig=", StringComparison.Ordinal))
        {
            return blob.Uri;
        }

        var key = await KeyAsync(now, cancellationToken).ConfigureAwait(false);
        return new BlobUriBuilder(blob.Uri) { Sas = SasOf(blob, now).ToSasQueryParameters(key, blob.AccountName) }.ToUri();
    }

    private static BlobSasBuilder SasOf(BlobBaseClient blob, DateTimeOffset now) => new(BlobSasPermissions.Read, now + Lifetime)
    {
        BlobContainerName = blob.BlobContainerName,
        BlobName = blob.Name,
        Resource = "b",
        StartsOn = now - Skew,
    };

    // Several may ask at once; any of their keys will do.
    private async Task<UserDelegationKey> KeyAsync(DateTimeOffset now, CancellationToken cancellationToken)
    {
        if (_key is { } known && known.SignedExpiresOn > now + Lifetime)
        {
            return known;
        }

        var options = new BlobGetUserDelegationKeyOptions(now + KeyLifetime) { StartsOn = now - Skew };
        return _key = await uploads.GetParentBlobServiceClient().GetUserDelegationKeyAsync(options, cancellationToken).ConfigureAwait(false);
    }
}
