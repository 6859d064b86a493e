using System.Text.Json;

namespace CloudShards.Infra.Tests;

/// <summary>What a snapshot does not tell: which module waits for which.</summary>
public sealed class OrderTests(Infrastructure infrastructure)
{
    [Theory]
    [InlineData("eventSubscription", "access")]
    [InlineData("functionApp", "access", "network")]
    [InlineData("access", "dataStorage", "eventTopic", "hostStorage", "identity", "monitoring")]
    [InlineData("alerts", "dataStorage", "eventTopic", "monitoring")]
    [InlineData("eventTopic", "dataStorage")]
    [InlineData("lifecycle", "dataStorage")]
    [InlineData("network", "dataStorage", "hostStorage")]
    public async Task AModuleWaitsForWhatItNeeds(string module, params string[] needed)
    {
        var (_, template) = await infrastructure.CompileAsync("main.bicep");

        var waits = JsonElement.Parse(template!).GetProperty("resources").GetProperty(module).GetProperty("dependsOn").EnumerateArray();

        Assert.Empty(needed.Except(waits.Select(name => name.GetString()!)));
    }
}
