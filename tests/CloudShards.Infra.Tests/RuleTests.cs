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
        Assert.Equal("rg-cloudshards-azd", deployment.OfType("Microsoft.Resources/resourceGroups").Single().Name);
        Assert.Equal("oncall@example.com", deployment.OfType("Microsoft.Insights/actionGroups").Single().At("properties.emailReceivers")[0].GetProperty("emailAddress").GetString());
    }
}
