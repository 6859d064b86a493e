namespace CloudShards.Chaos;

/// <summary>What happens in a run.</summary>
/// <param name="Seed">What is random comes from this.</param>
/// <param name="Kills">How many workers are killed.</param>
/// <param name="Workers">How many run at once.</param>
internal sealed record ChaosOptions(int Seed, int Kills, int Workers)
{
    /// <summary>Shards of a batch: small, so that a checkpoint is many batches.</summary>
    public int BatchShards { get; init; } = 3;

    /// <summary>Bytes of the largest shard that is packed: a few of a checkpoint's tensors make a pack, and the others many batches.</summary>
    public int PackedBytes { get; init; } = 2048;

    /// <summary>Checkpoints by name; each is uploaded several times.</summary>
    public int Names { get; init; } = 16;

    /// <summary>Uploads in all.</summary>
    public int Uploads { get; init; } = 48;

    /// <summary>How long the survivors may take in the end.</summary>
    public TimeSpan Patience { get; init; } = TimeSpan.FromMinutes(8);
}

/// <summary>What a run came to.</summary>
internal sealed record ChaosReport(int Kills, int Uploads, int Committed, int Superseded, int ManifestsChecked, IReadOnlyList<string> Problems)
{
    public override string ToString() =>
        $"{Kills} kills, {Uploads} uploads: {Committed} committed, {Superseded} superseded, {ManifestsChecked} manifests checked, {Problems.Count} problems"
        + string.Concat(Problems.Select(problem => $"\n- {problem}"));
}
