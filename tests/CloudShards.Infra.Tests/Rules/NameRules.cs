using System.Text.RegularExpressions;

namespace CloudShards.Infra.Tests.Rules;

internal static partial class NameRules
{
    // What Azure takes, for the kinds that take the least (Azure Resource Manager, naming rules and restrictions).
    private static readonly Dictionary<string, int> Longest = new()
    {
        ["Microsoft.Consumption/budgets"] = 63,
        ["Microsoft.EventGrid/systemTopics"] = 50,
        ["Microsoft.OperationalInsights/workspaces"] = 63,
        ["Microsoft.Web/serverfarms"] = 60,
        ["Microsoft.Web/sites"] = 60,
    };

    /// <summary>KIND-cloudshards-ENVIRONMENT, with a token where the name is one of all Azure. What is part of another resource has its own name.</summary>
    public static IEnumerable<string> NamesAreOfOneConvention(Prediction deployment) =>
        from resource in deployment.Resources
        where IsOwn(resource) && (!Convention.IsMatch(resource.Name) || resource.Name.Length > Longest.GetValueOrDefault(resource.Type, 80))
        select $"{resource.Type} {resource.Name}";

    public static IEnumerable<string> EverythingThatTakesTagsHasThem(Prediction deployment)
    {
        var place = deployment.OfType("Microsoft.Resources/resourceGroups").Single();
        return
            from resource in deployment.Resources
            where IsOwn(resource) && resource.Type != "Microsoft.Consumption/budgets"
            from tag in place.At("tags").EnumerateObject()
            from wrong in resource.Expect($"tags.{tag.Name}", tag.Value.GetString())
            select wrong;
    }

    // A role assignment's name is an id, a diagnostic setting's one of its source, and a private zone's is given.
    private static bool IsOwn(PredictedResource resource) =>
        resource.Type.Count(character => character == '/') == 1
        && resource.Type is not ("Microsoft.Authorization/roleAssignments" or "Microsoft.Insights/diagnosticSettings" or "Microsoft.Network/privateDnsZones");

    [GeneratedRegex("^(?:[a-z-]+-cloudshards-[a-z0-9-]*[a-z0-9]|func-[a-z0-9-]+-[a-z0-9]{13}|st(?:data|host)[a-z0-9]{13}|pep-st(?:data|host)[a-z0-9]{13}-(?:blob|queue))$")]
    private static partial Regex Convention { get; }
}
