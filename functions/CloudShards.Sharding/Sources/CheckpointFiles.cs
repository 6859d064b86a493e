using System.Collections.Immutable;
using CloudShards.Formats;

namespace CloudShards.Sharding;

/// <summary>The files that make up one checkpoint, and what they hold together.</summary>
/// <param name="Sources">One file, or the files of a set in the order of its index; <see cref="TensorInfo.File"/> counts them.</param>
/// <param name="Description">What they hold.</param>
/// <param name="Index">The set's index; null where the checkpoint is one file.</param>
public sealed record CheckpointFiles(ImmutableArray<ICheckpointSource> Sources, CheckpointDescription Description, ICheckpointSource? Index)
{
    private const int MaxConcurrency = 4;

    /// <summary>All files: the sources, and the index if there is one.</summary>
    public IEnumerable<ICheckpointSource> All => Index is null ? Sources : Sources.Append(Index);

    /// <summary>All files, as a plan names them.</summary>
    public ImmutableArray<PlannedFile> Planned => [.. All.Select(file => new PlannedFile(file.Path, file.ETag, file.Length, file == Index))];

    /// <summary>Reads the structure of a checkpoint in one file.</summary>
    /// <exception cref="CheckpointFormatException">The file is refused.</exception>
    public static async Task<CheckpointFiles> ReadFileAsync(
        ICheckpointSource source, CheckpointLimits? limits = null, CancellationToken cancellationToken = default) =>
        new([source], await CheckpointProbe.DescribeAsync(source, limits, cancellationToken).ConfigureAwait(false), null);

    /// <summary>Reads the structure of a Hugging Face set.</summary>
    /// <param name="index">Its index.</param>
    /// <param name="open">Opens the file of a name beside the index; null where there is none.</param>
    /// <param name="limits">Bounds on what the files may hold.</param>
    /// <param name="cancellationToken">Ends it.</param>
    /// <exception cref="CheckpointFormatException">A file is refused or missing, or the index does not fit the files.</exception>
    public static async Task<CheckpointFiles> ReadSetAsync(
        ICheckpointSource index,
        Func<string, CancellationToken, ValueTask<ICheckpointSource?>> open,
        CheckpointLimits? limits = null,
        CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(open);
        var parsed = await ReadIndexAsync(index, limits, cancellationToken).ConfigureAwait(false);
        var sources = new ICheckpointSource[parsed.Files.Length];
        var descriptions = new CheckpointDescription[sources.Length];
        var parallel = new ParallelOptions { MaxDegreeOfParallelism = MaxConcurrency, CancellationToken = cancellationToken };
        await Parallel.ForAsync(0, sources.Length, parallel, async (i, token) =>
        {
            sources[i] = await open(parsed.Files[i], token).ConfigureAwait(false) ?? throw Errors.SetIncomplete(index.Path, [parsed.Files[i]]);
            descriptions[i] = await DescribeMemberAsync(sources[i], limits, token).ConfigureAwait(false);
        }).ConfigureAwait(false);
        return new([.. sources], parsed.Combine(descriptions), index);
    }

    /// <summary>Reads an index.</summary>
    /// <exception cref="CheckpointFormatException">It is not one.</exception>
    public static async Task<HuggingFaceIndex> ReadIndexAsync(
        ICheckpointSource index, CheckpointLimits? limits = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(index);
        limits ??= CheckpointLimits.Default;
        if (index.Length > limits.MaxHeaderBytes)
        {
            throw Errors.IndexTooLong(index.Path, index.Length, limits.MaxHeaderBytes);
        }

        var utf8 = new byte[index.Length];
        await index.ReadAsync(0, utf8, cancellationToken).ConfigureAwait(false);
        return HuggingFaceIndex.Parse(utf8, limits);
    }

    private static async Task<CheckpointDescription> DescribeMemberAsync(
        ICheckpointSource file, CheckpointLimits? limits, CancellationToken cancellationToken)
    {
        try
        {
            return await CheckpointProbe.DescribeAsync(file, limits, cancellationToken).ConfigureAwait(false);
        }
        catch (CheckpointFormatException refusal)
        {
            throw Errors.InFileOfSet(file.Path, refusal);
        }
    }
}
