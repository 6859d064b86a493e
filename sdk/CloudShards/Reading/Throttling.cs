using System.Globalization;
using Azure;

namespace CloudShards;

/// <summary>How long to leave a service alone that says that it is asked too much. Pure but for the jitter.</summary>
internal static class Throttling
{
    private const int MaxAttempts = 6;
    private static readonly TimeSpan FirstDelay = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan MaxDelay = TimeSpan.FromMinutes(1);

    /// <summary>
    /// The wait before the next attempt: as long as the service asks for, or twice as long as last time, less up to half of it so that
    /// clients spread. Null where it is another refusal, or was tried often enough.
    /// </summary>
    /// <param name="refusal">The refusal, after the client's own retries.</param>
    /// <param name="attempt">The attempts before this one.</param>
    public static TimeSpan? DelayOf(RequestFailedException refusal, int attempt)
    {
        if (refusal.Status is not (429 or 503) || attempt + 1 >= MaxAttempts)
        {
            return null;
        }

        if (refusal.GetRawResponse() is { } response && response.Headers.TryGetValue("Retry-After", out var text)
            && int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var seconds))
        {
            return TimeSpan.FromSeconds(Math.Min(seconds, MaxDelay.TotalSeconds));
        }

        return FirstDelay * (1 << attempt) * (1 - (Random.Shared.NextDouble() / 2));
    }
}
