using CloudShards.Formats;
using CloudShards.Sharding;

namespace CloudShards.Cli;

/// <summary>Inspects what is at a location, by the ranges that hold its structure; with digests, by reading all of it.</summary>
internal static class InspectionReader
{
    /// <summary>Inspects.</summary>
    /// <exception cref="CheckpointFormatException">A file is refused.</exception>
    public static async Task<Inspection> ReadAsync(CheckpointLocation location, InspectOptions options, CancellationToken cancellationToken)
    {
        var file = await location.OpenAsync(cancellationToken);
        var checkpoint = await DescribeAsync(file, location, cancellationToken);
        return new()
        {
            Name = location.Name,
            Files = checkpoint.Sources.Length,
            FileBytes = checkpoint.Sources.Aggregate(Int128.Zero, (sum, source) => sum + source.Length),
            IsSet = checkpoint.Index is not null,
            Description = checkpoint.Description,
            Digests = options.Digests ? await TensorDigests.ComputeAsync(checkpoint, cancellationToken) : default,
        };
    }

    private static async Task<CheckpointFiles> DescribeAsync(ICheckpointSource file, CheckpointLocation location, CancellationToken cancellationToken)
    {
        try
        {
            return await CheckpointFiles.ReadFileAsync(file, cancellationToken: cancellationToken);
        }
        catch (CheckpointFormatException refusal) when (refusal.Error == CheckpointError.NotACheckpoint)
        {
            if (!await SetIndex.IsOneAsync(file, cancellationToken))
            {
                throw;
            }
        }

        return await CheckpointFiles.ReadSetAsync(file, location.OpenBesideAsync, cancellationToken: cancellationToken);
    }
}
