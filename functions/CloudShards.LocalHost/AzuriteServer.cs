using System.Text.RegularExpressions;

namespace CloudShards.LocalHost;

/// <summary>
/// An Azurite of one's own: Azure Blob and Queue Storage on 127.0.0.1, on ports that the system picks. It ends when it is disposed of,
/// and also when this process ends, however that happens.
/// </summary>
public sealed partial class AzuriteServer : IAsyncDisposable
{
    /// <summary>The only account of every Azurite.</summary>
    public const string AccountName = "devstoreaccount1";

    // Published by Microsoft for its emulators, and the same on every machine.
    private const string AccountKey = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

    private static readonly TimeSpan StopTimeout = TimeSpan.FromSeconds(5);

    private readonly ChildProcess _process;
    private readonly bool _keepsFolder;
    private readonly Lazy<Task> _stop;

    private AzuriteServer(ChildProcess process, Endpoints endpoints, string folder, bool keepsFolder)
    {
        _process = process;
        _keepsFolder = keepsFolder;
        _stop = new(StopAsync);
        (BlobEndpoint, QueueEndpoint) = endpoints;
        Folder = folder;
    }

    /// <summary>The account's blobs, as in <c>http://127.0.0.1:40123/devstoreaccount1</c>.</summary>
    public Uri BlobEndpoint { get; }

    /// <summary>The account's queues.</summary>
    public Uri QueueEndpoint { get; }

    /// <summary>The account with its key, for any Azure Storage client or tool.</summary>
    public string ConnectionString =>
        $"DefaultEndpointsProtocol=http;AccountName={AccountName};AccountKey={AccountKey};"
        + $"BlobEndpoint={BlobEndpoint};QueueEndpoint={QueueEndpoint};";

    /// <summary>Where blobs and queues are kept.</summary>
    public string Folder { get; }

    /// <summary>The id of Azurite's process.</summary>
    public int ProcessId => _process.Id;

    /// <summary>Starts Azurite, after installing it where it is missing, and returns once it listens: after about a second.</summary>
    /// <exception cref="AzuriteException">Node.js is missing, npm failed, or Azurite ended or did not listen in time.</exception>
    public static async Task<AzuriteServer> StartAsync(AzuriteOptions? options = null, CancellationToken cancellationToken = default)
    {
        options ??= new();
        var installation = AzuriteInstallation.Find();
        await installation.CompleteAsync(options.Progress, cancellationToken);
        var folder = options.Folder is null
            ? Directory.CreateTempSubdirectory("azurite-").FullName
            : Directory.CreateDirectory(options.Folder).FullName;
        try
        {
            var (process, endpoints) = await LaunchAsync(installation, folder, options, cancellationToken);
            return new(process, endpoints, folder, keepsFolder: options.Folder is not null);
        }
        catch when (options.Folder is null)
        {
            Directory.Delete(folder, recursive: true);
            throw;
        }
    }

    /// <summary>Stops Azurite, and deletes its folder unless the caller chose it. May be called again.</summary>
    public ValueTask DisposeAsync() => new(_stop.Value);

    private static async Task<(ChildProcess Process, Endpoints Endpoints)> LaunchAsync(
        AzuriteInstallation installation, string folder, AzuriteOptions options, CancellationToken cancellationToken)
    {
        var listening = new Listening();
        var process = ChildProcess.Start(options.NodeCommand, Arguments(folder), installation.Folder, listening.Hear);
        try
        {
            var first = await Task.WhenAny(listening.Endpoints, process.Ended).WaitAsync(options.ReadyTimeout, cancellationToken);
            return first == listening.Endpoints
                ? (process, await listening.Endpoints)
                : throw Errors.AzuriteEnded(installation.Folder, await process.Ended, process.LastLines);
        }
        catch (TimeoutException)
        {
            await process.DisposeAsync();
            throw Errors.AzuriteNotReady(options.ReadyTimeout, process.LastLines);
        }
        catch
        {
            await process.DisposeAsync();
            throw;
        }
    }

    // The clients' newest API versions are ahead of the list that Azurite keeps, and work.
    private static string[] Arguments(string folder) =>
    [
        "run.cjs", "--blobHost", "127.0.0.1", "--queueHost", "127.0.0.1", "--tableHost", "127.0.0.1", "--blobPort", "0", "--queuePort", "0",
        "--tablePort", "0", "--location", folder, "--silent", "--disableTelemetry", "--skipApiVersionCheck",
    ];

    private async Task StopAsync()
    {
        _process.CloseInput();
        try
        {
            await _process.Ended.WaitAsync(StopTimeout);
        }
        catch (TimeoutException)
        {
            // It hangs; disposal kills it.
        }

        await _process.DisposeAsync();
        if (!_keepsFolder)
        {
            Directory.Delete(Folder, recursive: true);
        }
    }

    private sealed record Endpoints(Uri Blob, Uri Queue);

    /// <summary>Hears the ports in what Azurite prints. Tables, which nobody here uses, are the last of its services to listen.</summary>
    private sealed partial class Listening
    {
        private readonly Dictionary<string, Uri> _accounts = [];
        private readonly TaskCompletionSource<Endpoints> _endpoints = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public Task<Endpoints> Endpoints => _endpoints.Task;

        public void Hear(string line)
        {
            if (Announcement.Match(line) is not { Success: true } match)
            {
                return;
            }

            var service = match.Groups["service"].Value;
            _accounts[service] = new($"{match.Groups["address"]}/{AccountName}");
            if (service == "Table")
            {
                _endpoints.TrySetResult(new(_accounts["Blob"], _accounts["Queue"]));
            }
        }

        [GeneratedRegex(@"^Azurite (?<service>\w+) service is successfully listening at (?<address>http://\S+)$")]
        private static partial Regex Announcement { get; }
    }
}
