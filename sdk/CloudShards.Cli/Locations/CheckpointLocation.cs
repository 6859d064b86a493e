using CloudShards.Sharding;

namespace CloudShards.Cli;

/// <summary>Where a checkpoint is: it opens the file that was named, and those beside it. Disposing it closes them.</summary>
internal abstract class CheckpointLocation : IDisposable
{
    /// <summary>The file's name, without what leads to it.</summary>
    public abstract string Name { get; }

    /// <summary>Finds what an argument names: a local file, the checkpoint in a local folder, a blob, or any other address.</summary>
    /// <exception cref="CommandException">A folder has no checkpoint, or several.</exception>
    public static async Task<CheckpointLocation> FindAsync(string target, CancellationToken cancellationToken)
    {
        if (Uri.TryCreate(target, UriKind.Absolute, out var address) && (address.Scheme == Uri.UriSchemeHttps || address.Scheme == Uri.UriSchemeHttp))
        {
            return BlobLocation.TryOf(address) ?? (CheckpointLocation)new HttpLocation(address, TimeProvider.System);
        }

        return new LocalLocation(Directory.Exists(target) ? await CheckpointFolder.FindAsync(target, cancellationToken) : target);
    }

    /// <summary>Opens the file.</summary>
    /// <exception cref="CommandException">There is none, or it cannot be read as a file is.</exception>
    public abstract Task<ICheckpointSource> OpenAsync(CancellationToken cancellationToken);

    /// <summary>Opens a file beside it.</summary>
    /// <returns>The file; null where there is none.</returns>
    public abstract ValueTask<ICheckpointSource?> OpenBesideAsync(string name, CancellationToken cancellationToken);

    /// <inheritdoc/>
    public abstract void Dispose();
}
