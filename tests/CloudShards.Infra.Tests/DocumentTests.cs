using System.Text.RegularExpressions;
using CloudShards.Infra.Tests.Rules;
using CloudShards.Testing;

namespace CloudShards.Infra.Tests;

public sealed partial class DocumentTests(Infrastructure infrastructure)
{
    private static string Page { get; } = File.ReadAllText(Path.Combine(Infrastructure.Folder, "README.md"));

    [Fact]
    public async Task ThePageHasEveryRoleAndItsReason()
    {
        var deployment = await infrastructure.PredictAsync("tests/prod.bicepparam");

        var told =
            from row in Row.Matches(Page[Page.IndexOf("## Roles", StringComparison.Ordinal)..Page.IndexOf("## Costs", StringComparison.Ordinal)]).Skip(2)
            let cells = row.Groups["cell"].Captures.Select(cell => cell.Value.Trim().Replace("`", "", StringComparison.Ordinal)).ToArray()
            select (new Grant(cells[0], cells[1], cells[2]), cells[3]);
        var given =
            from assignment in AccessRules.Assignments(deployment)
            select (Grant.Of(assignment, deployment), assignment.Text("properties.description")!);
        Assert.Equal(given.Distinct(), told);
    }

    [Theory]
    [InlineData("README.md")]
    [InlineData("infra/README.md")]
    public async Task CommandsUseVariablesThatADeploymentSets(string page)
    {
        var deployment = await infrastructure.PredictAsync("tests/dev.bicepparam");
        var text = await File.ReadAllTextAsync(Path.Combine(Repository.Root, page), TestContext.Current.CancellationToken);

        var used = Variable.Matches(text).Select(match => match.Groups["name"].Value).Distinct().ToArray();

        Assert.NotEmpty(used);
        Assert.Empty(used.Except(deployment.Outputs).Except(Infrastructure.AzdVariables.Keys));
    }

    [Fact]
    public async Task ThePageKnowsEveryAlertAndEveryFile()
    {
        var deployment = await infrastructure.PredictAsync("tests/prod.bicepparam");
        string[] topics =
        [
            "checkpoint-events-poison", "shard-batches-poison", "failed-job", "idle-app", "garbage", "dead-letter", "dropped-event", "failed-delivery", "throttling",
        ];

        Assert.Equal(
            topics.Select(topic => $"alert-{topic}-cloudshards-prod").Order(),
            deployment.Resources.Select(resource => resource.Name).Where(name => name.StartsWith("alert-", StringComparison.Ordinal)).Order());
        Assert.All(
            [
                "## Private network", "### A checkpoint failed", "### A message in a poison queue", "### Events wait", "### Garbage is not collected", "### A dead letter",
                "### A lost event", "### Back to an earlier version", "### Throttling", "### Removing and rotating access",
            ],
            section => Assert.Contains(section, Page, StringComparison.Ordinal));
        Assert.All(
            Infrastructure.Files.Where(file => file is not "types.bicep" && !file.StartsWith("tests/", StringComparison.Ordinal)),
            file => Assert.Contains($"{Path.GetFileName(file)}`", Page, StringComparison.Ordinal));
    }

    /// <summary>Whoever follows the page sees what the alert saw.</summary>
    [Fact]
    public async Task ThePageAsksForFailedJobsAsTheirAlertDoes()
    {
        var deployment = await infrastructure.PredictAsync("tests/prod.bicepparam");

        var alert = deployment.Resources.Single(resource => resource.Name == "alert-failed-job-cloudshards-prod");

        Assert.Contains(alert.At("properties.criteria.allOf")[0].GetProperty("query").GetString()!, Page, StringComparison.Ordinal);
    }

    [GeneratedRegex(@"^\|(?:(?<cell>[^|\n]+)\|){4}\r?$", RegexOptions.Multiline)]
    private static partial Regex Row { get; }

    [GeneratedRegex(@"\$?\b(?<name>(?:CLOUDSHARDS|AZURE)_[A-Z_]+)\b")]
    private static partial Regex Variable { get; }
}
