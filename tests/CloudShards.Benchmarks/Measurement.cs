using System.Text.Json.Serialization;

namespace CloudShards.Benchmarks;

/// <summary>What one run of a contender took.</summary>
/// <param name="Seconds">Wall clock.</param>
/// <param name="PeakBytes">The process's largest resident set, warm-up included.</param>
/// <param name="Requests">HTTP requests.</param>
/// <param name="Received">Bytes of the answers' bodies.</param>
/// <param name="Sent">Bytes of the requests' bodies.</param>
internal sealed record Measurement(double Seconds, long PeakBytes, long Requests, long Received, long Sent);

[JsonSerializable(typeof(Measurement))]
[JsonSerializable(typeof(Arena))]
internal sealed partial class BenchmarkJson : JsonSerializerContext;
