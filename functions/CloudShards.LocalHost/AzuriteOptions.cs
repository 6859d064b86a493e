namespace CloudShards.LocalHost;

/// <summary>How <see cref="AzuriteServer.StartAsync"/> starts Azurite.</summary>
public sealed record AzuriteOptions
{
    /// <summary>
    /// Where blobs and queues are kept. A folder given here is created where it is missing, and kept; by default each server has a
    /// fresh temporary folder, which is deleted with it.
    /// </summary>
    public string? Folder { get; init; }

    /// <summary>The Node.js program: a path, or a name on the PATH.</summary>
    public string NodeCommand { get; init; } = "node";

    /// <summary>How long a start may take, the first installation not counted. 60 seconds by default.</summary>
    public TimeSpan ReadyTimeout { get; init; } = TimeSpan.FromSeconds(60);

    /// <summary>Told, for a person to read, when Azurite is installed first or another program is awaited that does so.</summary>
    public IProgress<string>? Progress { get; init; }
}
