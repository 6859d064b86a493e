namespace CloudShards.Cli;

/// <summary>What addresses look like to people, and where their neighbours are.</summary>
internal static class Addresses
{
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
}
