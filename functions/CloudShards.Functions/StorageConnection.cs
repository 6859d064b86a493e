using Azure.Core;
using Azure.Identity;
using Azure.Storage.Blobs;
using Azure.Storage.Queues;
using Microsoft.Extensions.Configuration;

namespace CloudShards.Functions;

/// <summary>
/// The storage account of checkpoints, as the settings of the Functions host name it: <c>CheckpointStorage</c> is a connection string, or
/// <c>CheckpointStorage__blobServiceUri</c> and <c>CheckpointStorage__queueServiceUri</c> (or <c>CheckpointStorage__accountName</c>) name it and an
/// identity opens it; <c>CheckpointStorage__clientId</c> says which, where several are assigned.
/// </summary>
internal sealed class StorageConnection
{
    /// <summary>The name of the setting, and of the section.</summary>
    public const string Setting = "CheckpointStorage";

    private static readonly string[] Kinds = ["blob", "queue"];

    // Three, the default, are used up within four seconds; a throttled account needs longer.
    private const int MaxRetries = 6;

    /// <summary>Stands for the section where it is validated.</summary>
    public sealed class Settings;

    private StorageConnection(BlobServiceClient blobs, QueueServiceClient queues) => (Blobs, Queues) = (blobs, queues);

    /// <summary>The account's blobs.</summary>
    public BlobServiceClient Blobs { get; }

    /// <summary>The account's queues. Texts are sent as they are.</summary>
    public QueueServiceClient Queues { get; }

    /// <summary>What is wrong with the settings, each as a sentence; empty where nothing is.</summary>
    public static IEnumerable<string> FindProblems(IConfiguration configuration)
    {
        var section = configuration.GetSection(Setting);
        if (section.Value is { Length: > 0 } connection)
        {
            return CanOpen(connection) ? [] : [Errors.NotAConnectionString()];
        }

        return from kind in Kinds
               let text = TextOf(section, kind)
               where !Uri.TryCreate(text, UriKind.Absolute, out _)
               select Errors.NoStorage(kind, text);
    }

    /// <summary>Opens the account that the settings name. Nothing is asked of it yet.</summary>
    /// <exception cref="InvalidOperationException">The settings name none.</exception>
    public static StorageConnection Open(IConfiguration configuration)
    {
        var section = configuration.GetSection(Setting);
        if (FindProblems(configuration).FirstOrDefault() is { } problem)
        {
            throw new InvalidOperationException(problem);
        }

        if (section.Value is { Length: > 0 } connection)
        {
            return new(new(connection, Retrying(new BlobClientOptions())), new(connection, Retrying(new QueueClientOptions())));
        }

        var credential = new DefaultAzureCredential(new DefaultAzureCredentialOptions { ManagedIdentityClientId = section["clientId"] });
        return new(
            new(AddressOf(section, "blob"), credential, Retrying(new BlobClientOptions())),
            new(AddressOf(section, "queue"), credential, Retrying(new QueueClientOptions())));
    }

    // The client has an exception for each way in which the text can be wrong.
    private static bool CanOpen(string connection)
    {
        try
        {
            _ = (new BlobServiceClient(connection), new QueueServiceClient(connection));
            return true;
        }
        catch (Exception e) when (e is FormatException or ArgumentException or InvalidOperationException)
        {
            return false;
        }
    }

    private static Uri AddressOf(IConfigurationSection section, string kind) => new(TextOf(section, kind)!);

    private static string? TextOf(IConfigurationSection section, string kind) =>
        section[$"{kind}ServiceUri"] ?? (section["accountName"] is { Length: > 0 } account ? $"https://{account}.{kind}.core.windows.net" : null);

    private static TOptions Retrying<TOptions>(TOptions options)
        where TOptions : ClientOptions
    {
        options.Retry.MaxRetries = MaxRetries;
        return options;
    }
}
