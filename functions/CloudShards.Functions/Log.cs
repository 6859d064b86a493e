using CloudShards.Sharding;
using Microsoft.Extensions.Logging;

namespace CloudShards.Functions;

internal static partial class Log
{
    [LoggerMessage(1, LogLevel.Information, "{Function}: job {Job} is {State}")]
    public static partial void Handled(ILogger log, string function, string? job, JobState? state);

    [LoggerMessage(2, LogLevel.Information, "Swept {Shards} shards of {Bytes} bytes; late: {IsPastDue}")]
    public static partial void Collected(ILogger log, int shards, long bytes, bool isPastDue);
}
