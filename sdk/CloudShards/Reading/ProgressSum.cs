namespace CloudShards;

/// <summary>Adds up what arrives. Reports never overlap and never go back.</summary>
internal sealed class ProgressSum(IProgress<ShardProgress> progress, long? bytesTotal, TimeProvider time)
{
    private readonly long _begun = time.GetTimestamp();
    private readonly Lock _turn = new();
    private long _bytes;
    private int _runs;

    /// <summary>Counts a run of which <paramref name="bytes"/> bytes are to come.</summary>
    public Run Begin(long bytes)
    {
        var run = new Run(bytes);
        if (bytes == 0)
        {
            Add(run, 0);
        }

        return run;
    }

    /// <summary>Counts bytes of a run that have arrived, and the run once it is whole.</summary>
    public void Add(Run run, long bytes)
    {
        lock (_turn)
        {
            run.Rest -= bytes;
            _bytes += bytes;
            _runs += run.Rest == 0 ? 1 : 0;
            progress.Report(new(_bytes, bytesTotal, _runs, time.GetElapsedTime(_begun)));
        }
    }

    /// <summary>One run.</summary>
    internal sealed class Run(long bytes)
    {
        /// <summary>Bytes that are to come.</summary>
        public long Rest { get; set; } = bytes;
    }
}
