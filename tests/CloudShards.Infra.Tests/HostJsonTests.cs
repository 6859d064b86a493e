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

    /// <summary>The alert of failed jobs reads them.</summary>
    [Fact]
    public void TracesAreNotSampled()
    {
        var sampling = HostJson.Root.GetProperty("logging").GetProperty("applicationInsights").GetProperty("samplingSettings");

        Assert.Contains("Trace", sampling.GetProperty("excludedTypes").GetString()!.Split(';'));
    }

    private static TimeSpan Time(string text) => TimeSpan.ParseExact(text, "c", CultureInfo.InvariantCulture);
}
