namespace CloudShards.Benchmarks.Contenders;

/// <summary>One way to do a job.</summary>
internal interface IContender
{
    string Name { get; }

    /// <summary>Does what the clock does not count: memory is there, connections are open.</summary>
    Task<Job> PrepareAsync(Arena arena, Traffic traffic, CancellationToken cancellationToken);
}

/// <summary>What the clock counts.</summary>
/// <param name="WantedBytes">Memory that the job's result fills; 0 where it fills none.</param>
/// <param name="RunAsync">Does it. A job that reads may be run again.</param>
internal sealed record Job(long WantedBytes, Func<CancellationToken, Task> RunAsync)
{
    /// <summary>How often it does the same, into the same memory.</summary>
    public int Times { get; init; } = 1;

    /// <summary>A line to print below the result.</summary>
    public string Note { get; init; } = "";

    /// <summary>A job whose result is tensors in memory.</summary>
    public static Job Of(Dictionary<string, NativeBytes> memory, Func<CancellationToken, Task> run) => new(memory.Values.Sum(tensor => tensor.Length), run);
}
