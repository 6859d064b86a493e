using System.Globalization;
using CloudShards.LocalHost;

namespace CloudShards.Infra.Tests;

public sealed class HostJsonTests
{
    [Fact]
    public void AMessageIsTriedAsOftenAsOnOneMachine()
    {
        var loop = typeof(LocalHostOptions).Assembly.GetType("CloudShards.LocalHost.QueueLoop")!;

        Assert.Equal(loop.GetField("MaxDequeueCount")!.GetRawConstantValue(), HostJson.Queues.GetProperty("maxDequeueCount").GetInt32());
    }

    /// <summary>The memory budget of the options is that of one message; and the platform adds an instance for each <c>batchSize</c> messages.</summary>
    [Fact]
    public void AnInstanceWorksOnOneMessageAtOnce() => Assert.Equal((1, 1), (HostJson.MessagesAtOnce, HostJson.Queues.GetProperty("batchSize").GetInt32()));

    [Fact]
    public void AFailedMessageWaitsAndAnExecutionEnds()
    {
        Assert.InRange(Time(HostJson.Queues.GetProperty("visibilityTimeout").GetString()!), TimeSpan.FromSeconds(1), TimeSpan.FromMinutes(10));
        Assert.InRange(Time(HostJson.Root.GetProperty("functionTimeout").GetString()!), TimeSpan.FromMinutes(5), TimeSpan.FromMinutes(30));
    }

    /// <summary>The worker sends its telemetry itself, and without this the host would send it once more, sampled.</summary>
    [Fact]
    public void TheHostAndTheWorkerTellByOpenTelemetry()
    {
        Assert.Equal("OpenTelemetry", HostJson.Root.GetProperty("telemetryMode").GetString());
        Assert.False(HostJson.Root.TryGetProperty("logging", out _), "In this mode the host does not look at it.");
    }

    private static TimeSpan Time(string text) => TimeSpan.ParseExact(text, "c", CultureInfo.InvariantCulture);
}
