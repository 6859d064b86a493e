using CloudShards.Formats;

namespace CloudShards.Sharding;

/// <summary>Finds out what a file holds by reading only the ranges that the parser asks for.</summary>
public static class CheckpointProbe
{
    // A request costs as long as some hundred KiB take to travel.
    private const long MaxGap = 256 << 10;
    private const long MaxRequestBytes = 8 << 20;
    private const int MaxConcurrency = 16;

    /// <summary>Describes a checkpoint.</summary>
    /// <exception cref="CheckpointFormatException">The file is refused.</exception>
    /// <exception cref="SourceChangedException">The file was overwritten meanwhile.</exception>
    public static async Task<CheckpointDescription> DescribeAsync(
        ICheckpointSource source, CheckpointLimits? limits = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(source);
        var parser = new CheckpointParser(source.Length, limits);
        while (!parser.Wanted.IsEmpty)
        {
            parser.Supply(await ReadAsync(source, parser.Wanted, cancellationToken).ConfigureAwait(false));
        }

        return parser.Description;
    }

    private static async Task<ReadOnlyMemory<byte>[]> ReadAsync(
        ICheckpointSource source, IReadOnlyList<ByteRange> ranges, CancellationToken cancellationToken)
    {
        var bytes = new ReadOnlyMemory<byte>[ranges.Count];
        var options = new ParallelOptions { MaxDegreeOfParallelism = MaxConcurrency, CancellationToken = cancellationToken };
        await Parallel.ForEachAsync(ByteRangeGroup.Coalesce(ranges, MaxGap, MaxRequestBytes), options, async (group, token) =>
        {
            // The parser's limits bound what it asks for, and the file's length bounds each range.
            var buffer = new byte[group.Extent.Length];
            await source.ReadAsync(group.Extent.Offset, buffer, token).ConfigureAwait(false);
            foreach (var i in group.Members)
            {
                bytes[i] = buffer.AsMemory((int)(ranges[i].Offset - group.Extent.Offset), (int)ranges[i].Length);
            }
        }).ConfigureAwait(false);
        return bytes;
    }
}
