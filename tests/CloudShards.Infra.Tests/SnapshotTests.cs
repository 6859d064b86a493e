using System.Text.Json;
using System.Text.Json.Nodes;

namespace CloudShards.Infra.Tests;

/// <summary>
/// The files that say what is deployed, so that a review of a change sees its effect. <c>eng/infra-snapshots.sh</c> writes them.
/// </summary>
public sealed class SnapshotTests(Infrastructure infrastructure)
{
    public static TheoryData<string> Deployments => ["dev", "prod"];

    [Theory]
    [MemberData(nameof(Deployments))]
    public async Task TheSnapshotIsWhatWouldBeDeployed(string deployment)
    {
        var prediction = await infrastructure.PredictAsync($"tests/{deployment}.bicepparam");

        Assert.Empty(Differences(await ReadAsync(deployment), prediction.Json));
    }

    [Theory]
    [InlineData("modules/storageAccount.bicep", "accessTier: 'Hot'", "accessTier: 'Cool'")]
    [InlineData("modules/functionApp.bicep", "    name: 'scm'\n", "    name: 'other'\n")]
    [InlineData("main.bicep", "output AZURE_RESOURCE_GROUP", "output AZURE_GROUP")]
    [InlineData("main.bicep", "= if (privateNetwork) {", "= {")]
    public async Task AChangeThatNobodyRecordedIsSeen(string file, string right, string wrong)
    {
        using var mutation = Mutation.Make(file, right, wrong);

        var prediction = await infrastructure.PredictAsync(mutation.Folder, "tests/dev.bicepparam", TestContext.Current.CancellationToken);

        Assert.NotEmpty(Differences(await ReadAsync("dev"), prediction.Json));
    }

    private static async Task<JsonElement> ReadAsync(string deployment)
    {
        var file = Path.Combine(Infrastructure.Folder, "tests", $"{deployment}.snapshot.json");
        return JsonElement.Parse(await File.ReadAllTextAsync(file, TestContext.Current.CancellationToken));
    }

    // By resource and output: their order and that of properties mean nothing.
    private static IEnumerable<string> Differences(JsonElement expected, JsonElement found)
    {
        var (before, after) = (Parts(expected), Parts(found));
        return
            from name in before.Keys.Union(after.Keys)
            let was = before.GetValueOrDefault(name)
            let becomes = after.GetValueOrDefault(name)
            where !JsonNode.DeepEquals(was, becomes)
            select $"{name}\nwas:     {was?.ToJsonString()}\nbecomes: {becomes?.ToJsonString()}";
    }

    private static Dictionary<string, JsonNode?> Parts(JsonElement snapshot) =>
        snapshot.GetProperty("predictedResources").EnumerateArray()
            .Select(resource => (Name: resource.GetProperty("id").GetString()!, Value: resource))
            .Concat(snapshot.GetProperty("outputs").EnumerateObject().Select(output => (Name: $"output {output.Name}", output.Value)))
            .ToDictionary(part => part.Name, part => (JsonNode?)JsonNode.Parse(part.Value.GetRawText()));
}
