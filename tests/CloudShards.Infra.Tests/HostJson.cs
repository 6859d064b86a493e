using System.Text.Json;
using CloudShards.Testing;

namespace CloudShards.Infra.Tests;

/// <summary>What <c>host.json</c> tells the Functions host.</summary>
internal static class HostJson
{
    public static JsonElement Root { get; } = JsonElement.Parse(File.ReadAllText(Path.Combine(Repository.Root, "host.json")));

    public static JsonElement Queues { get; } = Root.GetProperty("extensions").GetProperty("queues");

    /// <summary>Messages of one queue that an instance works on at once.</summary>
    public static int MessagesAtOnce { get; } = Queues.GetProperty("batchSize").GetInt32() + Queues.GetProperty("newBatchThreshold").GetInt32();
}
