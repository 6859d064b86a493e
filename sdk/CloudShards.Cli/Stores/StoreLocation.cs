using Azure.Identity;
using Azure.Storage.Blobs;

namespace CloudShards.Cli;

/// <summary>Finds the shards that an argument names.</summary>
internal static class StoreLocation
{
    /// <summary>The help of the argument.</summary>
    public const string Description =
        "Where the shards are: the https:// address of a blob container, with a SAS or as whoever is signed in, or a local folder.";

    /// <summary>The store at the address of a container, with its SAS or as whoever is signed in, or in a local folder.</summary>
    /// <exception cref="CommandException">It is the address of something else, or there is no such folder.</exception>
    public static IShardStore Open(string target)
    {
        if (Uri.TryCreate(target, UriKind.Absolute, out var address) && (address.Scheme == Uri.UriSchemeHttps || address.Scheme == Uri.UriSchemeHttp))
        {
            return new BlobShardStore(ContainerAt(address));
        }

        return Directory.Exists(target) ? new DirectoryShardStore(target)
            : throw (File.Exists(target) ? Errors.NotAFolder(target) : Errors.NotFound(target));
    }

    private static BlobContainerClient ContainerAt(Uri address)
    {
        if (Addresses.TryParseBlob(address) is not var (parts, hasSas))
        {
            throw Errors.NotAzure(Addresses.Display(address));
        }

        // A slash at the end is a blob's name to some.
        parts.BlobName = parts.BlobName.TrimEnd('/');
        if (parts.BlobContainerName.Length == 0 || parts.BlobName.Length > 0)
        {
            throw Errors.NotAContainer(Addresses.Display(address));
        }

        return hasSas ? new(parts.ToUri()) : new(parts.ToUri(), new DefaultAzureCredential());
    }
}
