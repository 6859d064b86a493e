using Microsoft.Extensions.Logging;

namespace CloudShards.LocalHost;

internal static partial class Log
{
    [LoggerMessage(1, LogLevel.Warning, "The container {Container} could not be listed; the watcher goes on")]
    public static partial void WatchFailed(ILogger log, string container, Exception exception);

    [LoggerMessage(2, LogLevel.Warning, "The queue {Queue} could not be reached; the loop goes on")]
    public static partial void QueueFailed(ILogger log, string queue, Exception exception);

    [LoggerMessage(3, LogLevel.Warning, "A message of {Queue} failed at attempt {Attempt} of {MaxAttempts}")]
    public static partial void WorkFailed(ILogger log, string queue, long attempt, int maxAttempts, Exception exception);

    [LoggerMessage(4, LogLevel.Warning, "A message of {Queue} could not be renewed within {Visibility} and was handed to another worker, or deleted; the work on it goes on. Where this happens often, "
        + "raise the time that messages stay invisible")]
    public static partial void MessageLost(ILogger log, string queue, TimeSpan visibility);
}
