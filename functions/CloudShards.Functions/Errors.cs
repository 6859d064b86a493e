namespace CloudShards.Functions;

/// <summary>The words of every refusal in this project: what was found where, what was expected, what to do.</summary>
internal static class Errors
{
    public static string NoStorage(string kind, string? found) =>
        $"The setting `{StorageConnection.Setting}__{kind}ServiceUri` is {(found is null ? "missing" : $"`{found}`, which is no address")}. Set it to the address of the account's "
        + $"{kind} service, as in `https://ACCOUNT.{kind}.core.windows.net`; or set `{StorageConnection.Setting}` to a connection string.";

    public static string NotAConnectionString() =>
        $"The setting `{StorageConnection.Setting}` is no connection string of a storage account. Copy it anew, or set `{StorageConnection.Setting}__blobServiceUri` "
        + $"and `{StorageConnection.Setting}__queueServiceUri` instead.";
}
