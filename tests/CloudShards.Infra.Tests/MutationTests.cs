using CloudShards.Infra.Tests.Rules;

namespace CloudShards.Infra.Tests;

/// <summary>Mistakes that somebody could make in Bicep, each of which must be caught.</summary>
public sealed class MutationTests(Infrastructure infrastructure)
{
    private const string Access = "modules/access.bicep";
    private const string Account = "modules/storageAccount.bicep";
    private const string Alerts = "modules/alerts.bicep";
    private const string App = "modules/functionApp.bicep";
    private const string Subscription = "modules/eventSubscription.bicep";

    /// <summary>The rule that catches it, the file, what is there, and what would be wrong.</summary>
    public static TheoryData<string, string, string, string> Mistakes => new()
    {
        { nameof(StorageRules.ContainersAreThoseOfTheCode), "main.bicep", "shards: 'shards'", "shards: 'tensors'" },
        { nameof(StorageRules.QueuesAreThoseOfTheCodeEachWithItsPoisonQueue), "main.bicep", "'shard-batches'", "'shard-batch'" },
        { nameof(StorageRules.QueuesAreThoseOfTheCodeEachWithItsPoisonQueue), "main.bicep", "queues: concat(queues, poisonQueues)\n    deleteRetentionDays", "queues: queues\n    deleteRetentionDays" },
        { nameof(StorageRules.NobodyUsesKeys), Account, "allowSharedKeyAccess: false", "allowSharedKeyAccess: true" },
        { nameof(StorageRules.NobodyUsesKeys), "modules/monitoring.bicep", "DisableLocalAuth: true", "DisableLocalAuth: false" },
        { nameof(StorageRules.NobodyUsesKeys), App, "AzureWebJobsStorage__credential: 'managedidentity'", "AzureWebJobsStorage: hostStorage.listKeys().keys[0].value" },
        { nameof(StorageRules.NobodyTalksInTheClear), Account, "TLS1_2", "TLS1_0" },
        { nameof(StorageRules.NothingIsPublic), Account, "allowBlobPublicAccess: false", "allowBlobPublicAccess: true" },
        { nameof(StorageRules.LifecycleLeavesShardsAloneAndOutlivesMessages), "main.bicep", "work: containers.work\n    deadLetters: containers.deadLetters\n    workRetentionDays", "work: containers.shards\n    deadLetters: containers.deadLetters\n    workRetentionDays" },
        { nameof(StorageRules.WhatIsDeletedCanBeBroughtBack), "main.bicep", "    deleteRetentionDays: deleteRetentionDays\n", "" },
        { nameof(AccessRules.RolesAreTheLeastThatServes), Access, "blobDataReader: '2a2b9908-6ea1-4ae2-8e65-a410df84e7d1'", "blobDataReader: 'ba92f5b4-2d11-453d-a403-e96b0029c9fe'" },
        { nameof(AccessRules.RolesAreTheLeastThatServes), Access, "scope: dataStorage::blobs::shardsContainer\n    name: guid(dataStorage::blobs::shardsContainer.id, reader.id", "scope: dataStorage\n    name: guid(dataStorage.id, reader.id" },
        { nameof(AccessRules.RolesAreTheLeastThatServes), "main.bicep", "    queues: concat(queues, poisonQueues)\n    uploaders", "    queues: queues\n    uploaders" },
        { nameof(AccessRules.EveryRoleHasItsReason), Access, "description: 'Application Insights takes telemetry by token alone.'", "description: ''" },
        { nameof(WorkerRules.ConnectionsGoByIdentityToTheRightAccount), App, "CheckpointStorage__queueServiceUri: dataStorage", "CheckpointStorage__queueServiceUri: hostStorage" },
        { nameof(WorkerRules.ConnectionsGoByIdentityToTheRightAccount), App, "      CheckpointStorage__clientId: identity.properties.clientId\n", "" },
        { nameof(WorkerRules.TelemetryGoesByIdentity), App, ";Authorization=AAD", "" },
        { nameof(WorkerRules.NothingIsSampled), App, "OTEL_TRACES_SAMPLER_ARG: '1.0'", "OTEL_TRACES_SAMPLER_ARG: '0.1'" },
        { nameof(WorkerRules.TheHostFindsItsSettings), App, "GarbageSchedule: garbageSchedule", "Schedule: garbageSchedule" },
        { nameof(WorkerRules.TheHostFindsItsSettings), App, "      CheckpointStorage__credential:", "      FUNCTIONS_WORKER_RUNTIME: 'dotnet-isolated'\n      CheckpointStorage__credential:" },
        { nameof(WorkerRules.TheWorkerStartsWithItsSettings), App, "Sharding__MemoryBudgetBytes: ", "Sharding__MemoryBytes: '1'\n      Sharding__MemoryBudgetBytes: " },
        { nameof(WorkerRules.TheWorkerStartsWithItsSettings), App, "${garbageGraceDays}.00:00:00", "0.${garbageGraceDays}:00:00" },
        { nameof(WorkerRules.MemoryOfMessagesFitsIntoAnInstance), App, "1024 * 1024 / 4", "1024 * 1024" },
        { nameof(WorkerRules.TheAppRunsAsItsIdentityOnTheRuntimeOfTheCode), App, "version: '10.0'", "version: '8.0'" },
        { nameof(WorkerRules.AzdFindsTheApp), "main.bicep", "serviceName: 'sharding'", "serviceName: 'worker'" },
        { nameof(EventRules.UploadsAndNothingElseBecomeMessages), "main.bicep", "uploads: containers.uploads\n    queue:", "uploads: containers.shards\n    queue:" },
        { nameof(EventRules.UploadsAndNothingElseBecomeMessages), Subscription, "CloudEventSchemaV1_0", "EventGridSchema" },
        { nameof(EventRules.EventsAreDeliveredByTheTopicsOwnIdentity), "main.bicep", "queue: eventQueue", "queue: queues[1]" },
        { nameof(EventRules.WhatCannotBeDeliveredIsKept), Subscription, "blobContainerName: deadLetters", "blobContainerName: uploads" },
        { nameof(AlertRules.EveryQueueHasAnAlertOfItsPoisonQueue), Alerts, "map(poisonQueues, queue", "map(take(poisonQueues, 1), queue" },
        { nameof(AlertRules.EveryQueueHasAnAlertOfItsPoisonQueue), Alerts, "'StorageWrite'", "'StorageRead'" },
        { nameof(AlertRules.EveryAlertIsOnAndTellsInTime), Alerts, "enabled: true\n      scopes: [alert.scope]\n      evaluationFrequency: 'PT15M'", "enabled: false\n      scopes: [alert.scope]\n      evaluationFrequency: 'PT15M'" },
        { nameof(AlertRules.EveryAlertIsOnAndTellsInTime), Alerts, "enabled: true\n      scopes: [alert.scope]\n      evaluationFrequency: 'PT5M'", "enabled: false\n      scopes: [alert.scope]\n      evaluationFrequency: 'PT5M'" },
        { nameof(AlertRules.EveryAlertIsOnAndTellsInTime), Alerts, "evaluationFrequency: 'PT15M'", "evaluationFrequency: 'PT1H'" },
        { nameof(AlertRules.EveryAlertIsOnAndTellsInTime), Alerts, "'P1D'", "'PT30M'" },
        { nameof(AlertRules.EveryAlertIsOnAndTellsInTime), Alerts, "operator: 'GreaterThan'\n            threshold: 0", "operator: 'LessThan'\n            threshold: 0" },
        { nameof(AlertRules.EveryAlertIsOnAndTellsInTime), Alerts, "operator: 'GreaterThan'\n            threshold: alert.threshold", "operator: 'LessThan'\n            threshold: alert.threshold" },
        { nameof(AlertRules.EveryAlertIsOnAndTellsInTime), Alerts, "operator: 'GreaterThan'\n            threshold: 0", "operator: 'GreaterThan'\n            threshold: 5" },
        { nameof(AlertRules.EveryAlertIsOnAndTellsInTime), Alerts, "threshold: 100", "threshold: 100000" },
        { nameof(AlertRules.EveryAlertIsOnAndTellsInTime), Alerts, "'Total'", "'Average'" },
        { nameof(AlertRules.FailedJobsHaveAnAlertThatKnowsWhatTheCodeLogs), Alerts, "Gave up on ", "Giving up on " },
        { nameof(AlertRules.FailedJobsHaveAnAlertThatKnowsWhatTheCodeLogs), Alerts, " is Failed: ", " has failed: " },
        { nameof(AlertRules.FailedJobsHaveAnAlertThatKnowsWhatTheCodeLogs), Alerts, " is Failed: ", " is Failed" },
        { nameof(AlertRules.AnAppThatDoesNotRunHasAnAlert), "main.bicep", "eventQueue: eventQueue\n    poisonQueues", "eventQueue: queues[1]\n    poisonQueues" },
        { nameof(AlertRules.AnAppThatDoesNotRunHasAnAlert), Alerts, "ago(1h)", "ago(1d)" },
        { nameof(AlertRules.FailedCollectionsOfGarbageHaveAnAlert), Alerts, "Success == false", "Success == true" },
        { nameof(AlertRules.DeadLettersHaveAnAlert), Alerts, "'DeadLetteredCount'", "'PublishSuccessCount'" },
        { nameof(AlertRules.DeadLettersHaveAnAlert), Alerts, "'DroppedEventCount'", "'PublishSuccessCount'" },
        { nameof(AlertRules.DeadLettersHaveAnAlert), Alerts, "'DeliveryAttemptFailCount'", "'PublishSuccessCount'" },
        { nameof(AlertRules.DeadLettersHaveAnAlert), Alerts, "category: 'DeliveryFailures'\n        enabled: true", "category: 'DeliveryFailures'\n        enabled: false" },
        { nameof(AlertRules.ThrottlingHasAnAlert), Alerts, "'ServerBusyError'", "'Success'" },
        { nameof(AlertRules.ThrottlingHasAnAlert), Alerts, "          'SuccessWithThrottling'\n", "" },
        { nameof(AlertRules.ThrottlingHasAnAlert), Alerts, "operator: 'Include'", "operator: 'Exclude'" },
        { nameof(AlertRules.WhoeverIsToldIsToldOfEveryAlert), Alerts, "actionGroups: actionGroupIds", "actionGroups: []" },
        { nameof(AlertRules.WhoeverIsToldIsToldOfEveryAlert), Alerts, "actions: [for id in actionGroupIds: { actionGroupId: id }]", "actions: []" },
        { nameof(NetworkRules.APrivateNetworkLeavesOnlyEventGridAndListedAddressesOutside), "main.bicep", "? 'closed' : 'open'", "? 'open' : 'open'" },
        { nameof(NetworkRules.APrivateNetworkLeavesOnlyEventGridAndListedAddressesOutside), "main.bicep", "? 'trustedServices'", "? 'closed'" },
        { nameof(NetworkRules.TheWorkerReachesEveryServiceThatItUsesFromWithin), "main.bicep", "services: ['blob', 'queue']", "services: ['blob']" },
        { nameof(NetworkRules.EverySubnetHasItsSecurityGroup), "modules/network.bicep", "          networkSecurityGroup: {\n            id: appTraffic.id\n          }\n", "" },
        { nameof(NetworkRules.EverySubnetHasItsSecurityGroup), "modules/network.bicep", "securityRules: []", "securityRules: [{ name: 'nothing', properties: { access: 'Deny', direction: 'Outbound', priority: 100, protocol: '*', sourceAddressPrefix: '*', sourcePortRange: '*', destinationAddressPrefix: '*', destinationPortRange: '*' } }]" },
        { nameof(NameRules.NamesAreOfOneConvention), "main.bicep", "'log-${suffix}'", "'logs'" },
        { nameof(NameRules.EverythingThatTakesTagsHasThem), "modules/eventTopic.bicep", "  tags: tags\n", "" },
    };

    [Fact]
    public void EveryRuleIsBrokenByAMistake() => Assert.Empty(Rule.All.Keys.Except(Mistakes.Select(mistake => mistake.Data.Item1)));

    [Theory]
    [MemberData(nameof(Mistakes))]
    public async Task AMistakeBreaksARule(string rule, string file, string right, string wrong)
    {
        using var mutation = Mutation.Make(file, right, wrong);

        var deployment = await infrastructure.PredictAsync(mutation.Folder, "tests/prod.bicepparam", TestContext.Current.CancellationToken);

        Assert.NotEmpty(Rule.All[rule](deployment));
    }
}
