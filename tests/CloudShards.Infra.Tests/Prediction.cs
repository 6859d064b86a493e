using System.Text.Json;

namespace CloudShards.Infra.Tests;

/// <summary>What a deployment would create, as <c>bicep snapshot</c> predicts it. What only a run can tell stays an expression in brackets.</summary>
internal sealed class Prediction(JsonElement snapshot)
{
    public JsonElement Json { get; } = snapshot;

    public PredictedResource[] Resources { get; } =
        [.. snapshot.GetProperty("predictedResources").EnumerateArray().Select(resource => new PredictedResource(resource))];

    public IReadOnlyList<string> Diagnostics { get; } =
        [.. snapshot.GetProperty("diagnostics").EnumerateArray().Select(diagnostic => diagnostic.ToString())];

    public IReadOnlyList<string> Outputs { get; } = [.. snapshot.GetProperty("outputs").EnumerateObject().Select(output => output.Name)];

    /// <summary>The account with uploads, shards, work and queues.</summary>
    public PredictedResource Data => Account("stdata");

    /// <summary>The account of the Functions host.</summary>
    public PredictedResource Host => Account("sthost");

    public PredictedResource App => OfType("Microsoft.Web/sites").Single();

    public PredictedResource EventSubscription => OfType("Microsoft.EventGrid/systemTopics/eventSubscriptions").Single();

    /// <summary>The settings of the function app.</summary>
    public Dictionary<string, string> Settings =>
        OfType("Microsoft.Web/sites/config").Single().Json.GetProperty("properties").EnumerateObject()
            .ToDictionary(setting => setting.Name, setting => setting.Value.GetString()!);

    public IEnumerable<string> Containers(PredictedResource account) => Children(account, "blobServices/containers");

    public IEnumerable<string> Queues(PredictedResource account) => Children(account, "queueServices/queues");

    public IEnumerable<PredictedResource> OfType(string type) => Resources.Where(resource => resource.Type == type);

    private IEnumerable<string> Children(PredictedResource account, string kind) =>
        from child in OfType($"{account.Type}/{kind}")
        where child.Id.StartsWith(account.Id + "/", StringComparison.Ordinal)
        select child.Name.Split('/')[^1];

    private PredictedResource Account(string prefix) =>
        OfType("Microsoft.Storage/storageAccounts").Single(account => account.Name.StartsWith(prefix, StringComparison.Ordinal));
}

/// <summary>A resource that a deployment would create.</summary>
internal sealed record PredictedResource(JsonElement Json)
{
    public string Id => Json.GetProperty("id").GetString()!;

    public string Type => Json.GetProperty("type").GetString()!;

    public string Name => Json.GetProperty("name").GetString()!;

    /// <summary>A value by its path, such as <c>properties.networkAcls.bypass</c>; an undefined element where there is none.</summary>
    public JsonElement At(string path)
    {
        var value = Json;
        foreach (var name in path.Split('.'))
        {
            if (value.ValueKind != JsonValueKind.Object || !value.TryGetProperty(name, out value))
            {
                return default;
            }
        }

        return value;
    }

    /// <summary>A text, number or truth by its path; null where there is none.</summary>
    public string? Text(string path) => At(path) is { ValueKind: not (JsonValueKind.Undefined or JsonValueKind.Null) } value ? value.ToString() : null;

    /// <summary>Tells what is wrong where a value is not what it should be.</summary>
    public IEnumerable<string> Expect(string path, string? expected)
    {
        if (Text(path) is var found && found != expected)
        {
            yield return $"{Type} {Name}: {path} is {found ?? "absent"}, and should be {expected ?? "absent"}";
        }
    }
}
