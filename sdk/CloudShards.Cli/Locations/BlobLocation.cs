using Azure;
using Azure.Core;
using Azure.Identity;
using Azure.Storage.Blobs;
using CloudShards.Sharding;

namespace CloudShards.Cli;

/// <summary>A blob: with the SAS in its address, or else as whoever is signed in.</summary>
internal sealed class BlobLocation : CheckpointLocation
{
    private readonly BlobUriBuilder _address;
    private readonly TokenCredential? _credential;

    private BlobLocation(BlobUriBuilder address, TokenCredential? credential) => (_address, _credential) = (address, credential);

    /// <inheritdoc/>
    public override string Name => _address.BlobName[(_address.BlobName.LastIndexOf('/') + 1)..];

    /// <summary>The blob at an address, or null where the address is of something else.</summary>
    /// <exception cref="CommandException">The address is of a container.</exception>
    public static BlobLocation? TryOf(Uri address)
    {
        if (Addresses.TryParseBlob(address) is not var (parts, hasSas))
        {
            return null;
        }

        return string.IsNullOrEmpty(parts.BlobName)
            ? throw Errors.NotABlob(Addresses.Display(address))
            : new(parts, hasSas ? null : new DefaultAzureCredential());
    }

    /// <inheritdoc/>
    public override async Task<ICheckpointSource> OpenAsync(CancellationToken cancellationToken) =>
        await TryOpenAsync(_address, cancellationToken) ?? throw Errors.NotFound(Addresses.Display(_address.ToUri()));

    /// <inheritdoc/>
    public override async ValueTask<ICheckpointSource?> OpenBesideAsync(string name, CancellationToken cancellationToken)
    {
        var folder = _address.BlobName[..(_address.BlobName.LastIndexOf('/') + 1)];
        return await TryOpenAsync(new(_address.ToUri()) { BlobName = folder + name, Snapshot = "", VersionId = "" }, cancellationToken);
    }

    /// <inheritdoc/>
    public override void Dispose()
    {
        // The client has nothing to free.
    }

    private async Task<ICheckpointSource?> TryOpenAsync(BlobUriBuilder address, CancellationToken cancellationToken)
    {
        var blob = _credential is null ? new BlobClient(address.ToUri()) : new BlobClient(address.ToUri(), _credential);
        try
        {
            return await BlobCheckpointSource.OpenAsync(blob, null, cancellationToken);
        }
        catch (SourceChangedException e) when (e.InnerException is RequestFailedException { Status: 404 })
        {
            return null;
        }
        catch (RequestFailedException e) when (e.Status == 404)
        {
            return null;
        }
    }
}
