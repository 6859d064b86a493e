using System.Collections.Concurrent;
using CloudShards.Sharding;

namespace CloudShards.Cli;

/// <summary>A local file.</summary>
internal sealed class LocalLocation(string path) : CheckpointLocation
{
    private readonly ConcurrentBag<FileCheckpointSource> _open = [];

    /// <inheritdoc/>
    public override string Name => Path.GetFileName(path);

    /// <inheritdoc/>
    public override Task<ICheckpointSource> OpenAsync(CancellationToken cancellationToken) =>
        File.Exists(path) ? Task.FromResult<ICheckpointSource>(Open(path)) : throw Errors.NotFound(path);

    /// <inheritdoc/>
    public override ValueTask<ICheckpointSource?> OpenBesideAsync(string name, CancellationToken cancellationToken)
    {
        // Of a link, as in a download cache: beside the link, not beside what it leads to.
        var file = Path.Combine(Path.GetDirectoryName(path) ?? "", name);
        return new(File.Exists(file) ? Open(file) : null);
    }

    /// <inheritdoc/>
    public override void Dispose()
    {
        foreach (var file in _open)
        {
            file.Dispose();
        }
    }

    /// <summary>Opens a file that exists.</summary>
    /// <exception cref="CommandException">It is a pipe or a device.</exception>
    public static FileCheckpointSource OpenFile(string file)
    {
        if (SpecialFile.IsOne(file))
        {
            throw Errors.NotSeekable(file);
        }

        try
        {
            return new(file, Path.GetFileName(file));
        }
        catch (NotSupportedException e)
        {
            throw Errors.NotSeekable(file, e);
        }
    }

    private FileCheckpointSource Open(string file)
    {
        var source = OpenFile(file);
        _open.Add(source);
        return source;
    }
}
