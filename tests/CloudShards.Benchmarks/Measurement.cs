using System.Text.Json.Serialization;

namespace CloudShards.Benchmarks;

/// <summary>What one run of a contender took.</summary>
/// <param name="Seconds">Wall clock.</param>
/// <param name="CpuSeconds">Processor time of the contender's process, user and system.</param>
/// <param name="WantedBytes">Memory that the job's result fills; 0 where it fills none.</param>
/// <param name="PreparedBytes">The process's resident set when the clock started.</param>
/// <param name="PeakBytes">The process's largest resident set from then on.</param>
/// <param name="Requests">HTTP requests.</param>
/// <param name="Received">Bytes of the answers' bodies.</param>
/// <param name="Sent">Bytes of the requests' bodies.</param>
/// <param name="WorkBytes">Bytes that the work was about: those that were wanted, as often as they were, or else those that arrived.</param>
/// <param name="Note">What the contender has to say.</param>
internal sealed record Measurement(
    double Seconds,
    double CpuSeconds,
    long WantedBytes,
    long PreparedBytes,
    long PeakBytes,
    long Requests,
    long Received,
    long Sent,
    long WorkBytes,
    string Note);

[JsonSerializable(typeof(Measurement))]
[JsonSerializable(typeof(Arena))]
internal sealed partial class BenchmarkJson : JsonSerializerContext;
