using CloudShards.Infra.Tests.Rules;

namespace CloudShards.Infra.Tests;

public sealed class RuleTests(Infrastructure infrastructure)
{
    public static MatrixTheoryData<string, string> RulesAndFiles => new(Rule.All.Keys, Infrastructure.ParameterFiles);

    [Theory]
    [MemberData(nameof(RulesAndFiles))]
    public async Task ARuleIsKept(string rule, string parameters) => Assert.Empty(Rule.All[rule](await infrastructure.PredictAsync(parameters)));

    [Fact]
    public async Task AzdDeploysForWhoeverCallsIt()
    {
        var deployment = await infrastructure.PredictAsync("main.bicepparam");

        var people =
            from assignment in AccessRules.Assignments(deployment)
            let grant = Grant.Of(assignment, deployment)
            where grant.Who is "readers" or "uploaders"
            select (grant.Who, assignment.Text("properties.principalId"), assignment.Text("properties.principalType"));
        Assert.Equal(
            [
                ("uploaders", "55555555-5555-5555-5555-555555555555", "User"),
                ("readers", "66666666-6666-6666-6666-666666666666", "ServicePrincipal"),
                ("readers", "77777777-7777-7777-7777-777777777777", "ServicePrincipal"),
            ],
            people);
        Assert.Equal(
            ["oncall@example.com", "somebody@example.com"],
            from receiver in deployment.OfType("Microsoft.Insights/actionGroups").Single().At("properties.emailReceivers").EnumerateArray()
            select receiver.GetProperty("emailAddress").GetString());
    }

    [Theory]
    [InlineData("prod", "^prod$")]
    [InlineData("eu-prod-2", "^eu-prod-2$")]
    [InlineData("Prod", "^prod-[a-z0-9]{5}$")]
    [InlineData("team_a", "^team-a-[a-z0-9]{5}$")]
    [InlineData("(x).", "^x-[a-z0-9]{5}$")]
    [InlineData("a-name-of-thirty-two-letters-xyz", "^a-name-of-thirty-two-letters-xyz$")]
    [InlineData("0123456789-123456789-123456789-123456789-123456789-123456789-123", "^0123456789-123456789-12345-[a-z0-9]{5}$")]
    public async Task WhateverAzdAllowsBecomesNames(string environment, string label)
    {
        using var mutation = Mutation.Make("tests/dev.bicepparam", "'dev'", $"'{environment}'");

        var deployment = await infrastructure.PredictAsync(mutation.Folder, "tests/dev.bicepparam", TestContext.Current.CancellationToken);

        var group = deployment.OfType("Microsoft.Resources/resourceGroups").Single();
        Assert.Matches(label, group.Name["rg-cloudshards-".Length..]);
        Assert.Equal(environment, group.Text("tags.azd-env-name"));
        Assert.Empty(NameRules.NamesAreOfOneConvention(deployment));
    }

    [Fact]
    public async Task NamesThatDifferInTheirMarksAloneAreNotMixedUp()
    {
        var groups = new List<string>();
        foreach (var environment in (string[])["team-a", "team_a", "team.a", "Team-A"])
        {
            using var mutation = Mutation.Make("tests/dev.bicepparam", "'dev'", $"'{environment}'");
            var deployment = await infrastructure.PredictAsync(mutation.Folder, "tests/dev.bicepparam", TestContext.Current.CancellationToken);
            groups.Add(deployment.OfType("Microsoft.Resources/resourceGroups").Single().Name);
        }

        Assert.Equal(4, groups.Distinct().Count());
    }

    [Theory]
    [InlineData("10.80.0.0/23")]
    [InlineData("10.80.0.300/22")]
    public async Task ANetworkThatIsTooSmallOrNoneIsRefusedBeforeAnythingIsThere(string addresses)
    {
        using var mutation = Mutation.Make("tests/prod.bicepparam", "10.80.0.0/22", addresses);

        var problem = await Assert.ThrowsAsync<InvalidOperationException>(
            () => infrastructure.PredictAsync(mutation.Folder, "tests/prod.bicepparam", TestContext.Current.CancellationToken));

        Assert.Contains("networkAddresses", problem.Message, StringComparison.Ordinal);
    }
}
