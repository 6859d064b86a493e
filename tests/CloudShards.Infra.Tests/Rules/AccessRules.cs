using CloudShards.Sharding;

namespace CloudShards.Infra.Tests.Rules;

/// <summary>A role that somebody has somewhere.</summary>
internal sealed record Grant(string Who, string Role, string Scope)
{
    private static readonly Dictionary<string, string> Roles = new()
    {
        ["ba92f5b4-2d11-453d-a403-e96b0029c9fe"] = "Storage Blob Data Contributor",
        ["b7e6dc6d-f1e8-4753-8033-0f276bb0955b"] = "Storage Blob Data Owner",
        ["2a2b9908-6ea1-4ae2-8e65-a410df84e7d1"] = "Storage Blob Data Reader",
        ["db58b8e5-c6ad-4a2a-8342-4190687cbf4a"] = "Storage Blob Delegator",
        ["974c5e8b-45b9-4653-ba55-5f855dd0fb88"] = "Storage Queue Data Contributor",
        ["c6a89b2d-59bc-44d0-9896-0f6e12d7b80a"] = "Storage Queue Data Message Sender",
        ["3913510d-42f4-4e42-8a64-420c390055eb"] = "Monitoring Metrics Publisher",
    };

    /// <summary>The role that an assignment grants.</summary>
    public static Grant Of(PredictedResource assignment, Prediction deployment)
    {
        var definition = assignment.Text("properties.roleDefinitionId")!.Split('/')[^1];
        var role = Roles.GetValueOrDefault(definition, definition);
        return new(WhoOf(assignment.Text("properties.principalId")!, role), role, ScopeOf(assignment.Id, deployment));
    }

    // Whoever is not part of the deployment is a reader or an uploader, and differs by the role.
    private static string WhoOf(string principal, string role) =>
        principal.Contains("/userAssignedIdentities/", StringComparison.Ordinal) ? "function app"
        : principal.Contains("/systemTopics/", StringComparison.Ordinal) ? "Event Grid"
        : role == "Storage Blob Data Reader" ? "readers" : "uploaders";

    private static string ScopeOf(string id, Prediction deployment)
    {
        var parts = id[..id.LastIndexOf("/providers/Microsoft.Authorization/", StringComparison.Ordinal)].Split('/');
        return parts[^2] switch
        {
            "containers" => $"container {parts[^1]}",
            "queues" => $"queue {parts[^1]}",
            "storageAccounts" => parts[^1] == deployment.Host.Name ? "account of the host" : "account of the data",
            "components" => "Application Insights",
            var kind => kind,
        };
    }
}

internal static class AccessRules
{
    // Written down a second time on purpose: who changes access.bicep is asked whether it was meant.
    private static readonly Grant[] Expected =
    [
        new("function app", "Storage Blob Data Owner", "account of the host"),
        new("function app", "Storage Blob Data Reader", $"container {StorageNames.Uploads}"),
        new("function app", "Storage Blob Data Contributor", $"container {StorageNames.Shards}"),
        new("function app", "Storage Blob Data Contributor", $"container {StorageNames.Work}"),
        new("function app", "Storage Blob Delegator", "account of the data"),
        .. from queue in StorageRules.Queues
           from name in (string[])[queue, queue + StorageNames.PoisonSuffix]
           select new Grant("function app", "Storage Queue Data Contributor", $"queue {name}"),
        new("function app", "Monitoring Metrics Publisher", "Application Insights"),
        new("Event Grid", "Storage Queue Data Message Sender", $"queue {StorageNames.Events}"),
        new("Event Grid", "Storage Blob Data Contributor", $"container {StorageRules.DeadLetters}"),
    ];

    private static readonly Grant Reader = new("readers", "Storage Blob Data Reader", $"container {StorageNames.Shards}");
    private static readonly Grant Uploader = new("uploaders", "Storage Blob Data Contributor", $"container {StorageNames.Uploads}");

    public static IEnumerable<string> RolesAreTheLeastThatServes(Prediction deployment) =>
        Rule.Compare("roles", Expected, Grants(deployment).Where(grant => grant != Reader && grant != Uploader));

    public static IEnumerable<string> EveryRoleHasItsReason(Prediction deployment) =>
        from assignment in Assignments(deployment)
        where assignment.Text("properties.description") is not { Length: > 20 }
        select $"{Grant.Of(assignment, deployment)} has no reason";

    public static IEnumerable<Grant> Grants(Prediction deployment) =>
        Assignments(deployment).Select(assignment => Grant.Of(assignment, deployment));

    public static IEnumerable<PredictedResource> Assignments(Prediction deployment) => deployment.OfType("Microsoft.Authorization/roleAssignments");
}
