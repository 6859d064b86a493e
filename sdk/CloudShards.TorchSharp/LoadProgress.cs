namespace CloudShards;

/// <summary>Makes one count of the counts of reads that follow each other.</summary>
internal sealed class LoadProgress(IProgress<ShardProgress> progress, long bytesTotal) : IProgress<ShardProgress>
{
    private ShardProgress _before;
    private ShardProgress _last;

    /// <summary>Begins the next read.</summary>
    public void BeginNext() => _before = _last;

    /// <inheritdoc/>
    public void Report(ShardProgress value)
    {
        _last = new(_before.BytesRead + value.BytesRead, bytesTotal, _before.RunsRead + value.RunsRead, _before.Elapsed + value.Elapsed);
        progress.Report(_last);
    }
}
