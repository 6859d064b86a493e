using System.Text.Json;
using CloudShards.Sharding;

namespace CloudShards.Infra.Tests.Rules;

internal static class StorageRules
{
    /// <summary>The queues that the functions work off.</summary>
    public static readonly string[] Queues = [StorageNames.Events, StorageNames.Batches];

    /// <summary>Events that could not be delivered; Event Grid alone knows it.</summary>
    public const string DeadLetters = "dead-letters";

    public static IEnumerable<string> ContainersAreThoseOfTheCode(Prediction deployment) =>
        Rule.Compare("containers", [StorageNames.Uploads, StorageNames.Shards, StorageNames.Work, DeadLetters], deployment.Containers(deployment.Data));

    public static IEnumerable<string> QueuesAreThoseOfTheCodeEachWithItsPoisonQueue(Prediction deployment) =>
        Rule.Compare("queues", Queues.SelectMany(queue => (string[])[queue, queue + StorageNames.PoisonSuffix]), deployment.Queues(deployment.Data));

    public static IEnumerable<string> NobodyUsesKeys(Prediction deployment) =>
    [
        .. from account in deployment.OfType("Microsoft.Storage/storageAccounts")
           from wrong in (IEnumerable<string>)
           [
               .. account.Expect("properties.allowSharedKeyAccess", "False"),
               .. account.Expect("properties.defaultToOAuthAuthentication", "True"),
               .. account.Expect("properties.isLocalUserEnabled", "False"),
           ]
           select wrong,
        .. deployment.OfType("Microsoft.Insights/components").SelectMany(insights => insights.Expect("properties.DisableLocalAuth", "True")),
        .. deployment.OfType("Microsoft.OperationalInsights/workspaces").SelectMany(workspace => workspace.Expect("properties.features.disableLocalAuth", "True")),
        .. Rule.Compare(
            "publishing without a password",
            ["ftp", "scm"],
            from policy in deployment.OfType("Microsoft.Web/sites/basicPublishingCredentialsPolicies")
            where policy.Text("properties.allow") == "False"
            select policy.Name.Split('/')[^1]),
        .. from secret in (string[])["listKeys", "listAccountSas", "listServiceSas", "AccountKey=", "SharedAccessSignature"]
           where deployment.Json.GetRawText().Contains(secret, StringComparison.OrdinalIgnoreCase)
           select $"the deployment speaks of {secret}",
    ];

    public static IEnumerable<string> NobodyTalksInTheClear(Prediction deployment) =>
    [
        .. from account in deployment.OfType("Microsoft.Storage/storageAccounts")
           from wrong in account.Expect("properties.minimumTlsVersion", "TLS1_2").Concat(account.Expect("properties.supportsHttpsTrafficOnly", "True"))
           select wrong,
        .. deployment.App.Expect("properties.httpsOnly", "True"),
        .. deployment.App.Expect("properties.siteConfig.minTlsVersion", "1.2"),
    ];

    public static IEnumerable<string> NothingIsPublic(Prediction deployment) =>
    [
        .. deployment.OfType("Microsoft.Storage/storageAccounts").SelectMany(account => account.Expect("properties.allowBlobPublicAccess", "False")),
        .. deployment.OfType("Microsoft.Storage/storageAccounts/blobServices/containers").SelectMany(container => container.Expect("properties.publicAccess", "None")),
    ];

    /// <summary>A message lives seven days: what it needs must live longer. Shards are deleted by who knows the manifests.</summary>
    public static IEnumerable<string> LifecycleLeavesShardsAloneAndOutlivesMessages(Prediction deployment)
    {
        var rules = deployment.OfType("Microsoft.Storage/storageAccounts/managementPolicies").Single().At("properties.policy.rules").EnumerateArray().ToArray();
        var prefixes = rules.SelectMany(rule => rule.GetProperty("definition").GetProperty("filters").GetProperty("prefixMatch").EnumerateArray());
        return
        [
            .. Rule.Compare(
                "lifecycle of",
                [StorageNames.Work + "/", DeadLetters + "/"],
                prefixes.Select(prefix => prefix.GetString()!).Where(prefix => prefix != StorageNames.Uploads + "/")),
            .. from rule in rules
               let actions = rule.GetProperty("definition").GetProperty("actions").GetProperty("baseBlob")
               where actions.TryGetProperty("delete", out var delete) && DaysOf(delete) <= 7
               select $"{rule.GetProperty("name").GetString()} deletes while a message may still live",
        ];
    }

    public static IEnumerable<string> WhatIsDeletedCanBeBroughtBack(Prediction deployment) =>
        from blobs in deployment.OfType("Microsoft.Storage/storageAccounts/blobServices")
        where blobs.Id.StartsWith(deployment.Data.Id + "/", StringComparison.Ordinal)
        from wrong in blobs.Expect("properties.deleteRetentionPolicy.enabled", "True").Concat(blobs.Expect("properties.containerDeleteRetentionPolicy.enabled", "True"))
        select wrong;

    private static int DaysOf(JsonElement action) => action.GetProperty("daysAfterModificationGreaterThan").GetInt32();
}
