namespace CloudShards;

/// <summary>What a read will cost.</summary>
/// <param name="Requests">Requests to the store.</param>
/// <param name="Bytes">Bytes that they ask for.</param>
/// <param name="OverReadBytes">Those of them that nobody wants: they lie between wanted ones, and are read to save requests.</param>
public readonly record struct ReadPlan(long Requests, long Bytes, long OverReadBytes);
