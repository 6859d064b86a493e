using CloudShards.Formats;
using CloudShards.Sharding;

namespace CloudShards.Cli;

/// <summary>Finds the one checkpoint in a folder.</summary>
internal static class CheckpointFolder
{
    /// <summary>The index in a folder, or else the file in it whose bytes are those of a checkpoint, even of one that will be refused.</summary>
    /// <exception cref="CommandException">There is none, or there are several.</exception>
    public static async Task<string> FindAsync(string folder, CancellationToken cancellationToken)
    {
        var files = Directory.GetFiles(folder).Order(StringComparer.Ordinal).ToArray();
        var unreadable = new SortedSet<string>(StringComparer.Ordinal);
        var found = await WhereAsync(files.Where(file => HuggingFaceIndex.IsIndexName(Path.GetFileName(file))), SetIndex.IsOneAsync, unreadable, cancellationToken);
        if (found.Count == 0)
        {
            found = await WhereAsync(files, IsCheckpointAsync, unreadable, cancellationToken);
        }

        return found switch
        {
            [var only] => only,
            [] => throw Errors.NothingInFolder(folder, unreadable),
            _ => throw Errors.SeveralInFolder(folder, found.ConvertAll(file => Path.GetFileName(file))),
        };
    }

    private static async Task<List<string>> WhereAsync(
        IEnumerable<string> files,
        Func<ICheckpointSource, CancellationToken, Task<bool>> predicate,
        SortedSet<string> unreadable,
        CancellationToken cancellationToken)
    {
        var found = new List<string>();
        foreach (var file in files)
        {
            // A neighbour that is a pipe, a link to nothing or somebody else's is not what was asked for.
            try
            {
                using var source = LocalLocation.OpenFile(file);
                if (await predicate(source, cancellationToken))
                {
                    found.Add(file);
                }
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException or CommandException)
            {
                unreadable.Add(Path.GetFileName(file));
            }
        }

        return found;
    }

    private static async Task<bool> IsCheckpointAsync(ICheckpointSource file, CancellationToken cancellationToken)
    {
        try
        {
            await CheckpointProbe.DescribeAsync(file, cancellationToken: cancellationToken);
            return true;
        }
        catch (CheckpointFormatException refusal)
        {
            return refusal.Error != CheckpointError.NotACheckpoint;
        }
    }
}
