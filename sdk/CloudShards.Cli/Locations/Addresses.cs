using Azure.Storage.Blobs;

namespace CloudShards.Cli;

/// <summary>What addresses look like to people, and where their neighbours are.</summary>
internal static class Addresses
{
    // A token for Azure Storage goes to Azure's own hosts alone.
    private static readonly string[] AzureHosts =
        [".blob.core.windows.net", ".blob.storage.azure.net", ".blob.core.chinacloudapi.cn", ".blob.core.usgovcloudapi.net"];

    /// <summary>An address without its query, which may hold a key to it, and without user and fragment.</summary>
    public static string Display(Uri address) => address.GetComponents(UriComponents.SchemeAndServer | UriComponents.Path, UriFormat.UriEscaped);

    /// <summary>The last part of the path.</summary>
    public static string FileName(Uri address) => Uri.UnescapeDataString(address.AbsolutePath[(address.AbsolutePath.LastIndexOf('/') + 1)..]);

    /// <summary>The address of another file in the same folder, with the same query.</summary>
    public static Uri Beside(Uri address, string name)
    {
        var folder = address.AbsolutePath[..(address.AbsolutePath.LastIndexOf('/') + 1)];
        return new UriBuilder(address) { Path = folder + Uri.EscapeDataString(name) }.Uri;
    }

    /// <summary>An address in blob storage in its parts: one with a SAS, or one of Azure's own; null where it is of something else.</summary>
    public static (BlobUriBuilder Parts, bool HasSas)? TryParseBlob(Uri address)
    {
        try
        {
            var parts = new BlobUriBuilder(address);
            var hasSas = parts.Sas is { Signature.Length: > 0 };
            return hasSas || IsAzure(address) ? (parts, hasSas) : null;
        }
        catch (FormatException)
        {
            // A query that begins as a SAS does and is none.
            return null;
        }
    }

    private static bool IsAzure(Uri address) =>
        address.Scheme == Uri.UriSchemeHttps && AzureHosts.Any(host => address.IdnHost.EndsWith(host, StringComparison.OrdinalIgnoreCase));
}
