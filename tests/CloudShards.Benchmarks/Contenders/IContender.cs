namespace CloudShards.Benchmarks.Contenders;

/// <summary>One way to do a job.</summary>
internal interface IContender
{
    string Name { get; }

    /// <summary>Does what the clock does not count: memory is there, connections are open.</summary>
    /// <returns>The job.</returns>
    Task<Func<CancellationToken, Task>> PrepareAsync(Arena arena, Traffic traffic, CancellationToken cancellationToken);
}
