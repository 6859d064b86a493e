using System.Reflection;
using System.Text.RegularExpressions;
using CloudShards.Sharding;
using Microsoft.Extensions.Logging;

namespace CloudShards.Infra.Tests.Rules;

internal static partial class AlertRules
{
    private const string LogAlert = "Microsoft.Insights/scheduledQueryRules";
    private const string MetricAlert = "Microsoft.Insights/metricAlerts";

    public static IEnumerable<string> EveryQueueHasAnAlertOfItsPoisonQueue(Prediction deployment)
    {
        var workspace = deployment.OfType("Microsoft.OperationalInsights/workspaces").Single().Id;
        return
        [
            .. Rule.Compare(
                "alerts",
                StorageRules.Queues.Select(queue => $"StorageQueueLogs | where AccountName == '{deployment.Data.Name}' and OperationName == 'PutMessage'"
                    + $" and Uri contains '/{queue}{StorageNames.PoisonSuffix}/messages'"),
                deployment.OfType(LogAlert).Where(alert => ScopeOf(alert) == workspace).Select(QueryOf)),
            .. Logged(deployment, $"{deployment.Data.Id}/queueServices/default", "StorageWrite", workspace),
        ];
    }

    /// <summary>The alert's texts are held against those that the code logs.</summary>
    public static IEnumerable<string> FailedJobsHaveAnAlertThatKnowsWhatTheCodeLogs(Prediction deployment)
    {
        var insights = deployment.OfType("Microsoft.Insights/components").Single().Id;
        var queries = deployment.OfType(LogAlert).Where(alert => ScopeOf(alert) == insights).Select(QueryOf).ToArray();
        return
            from message in (string[])[MessageOf("GaveUp"), MessageOf("Ended").Replace("{State}", nameof(JobState.Failed), StringComparison.Ordinal)]
            where !queries.Any(query => Clause.Matches(query).Any(clause => clause.Groups["operator"].Value == "startswith"
                ? message.StartsWith(clause.Groups["text"].Value, StringComparison.Ordinal)
                : message.Contains(clause.Groups["text"].Value, StringComparison.Ordinal)))
            select $"no alert of \"{message}\"";
    }

    public static IEnumerable<string> DeadLettersHaveAnAlert(Prediction deployment)
    {
        var topic = deployment.OfType("Microsoft.EventGrid/systemTopics").Single().Id;
        return
        [
            .. Rule.Compare("metrics of the topic", ["DeadLetteredCount"], deployment.OfType(MetricAlert).Where(alert => ScopeOf(alert) == topic).Select(MetricOf)),
            .. Logged(deployment, topic, "DeliveryFailures", deployment.OfType("Microsoft.OperationalInsights/workspaces").Single().Id),
        ];
    }

    public static IEnumerable<string> ThrottlingHasAnAlert(Prediction deployment)
    {
        var alerts = deployment.OfType(MetricAlert).Where(alert => ScopeOf(alert) == deployment.Data.Id).ToArray();
        return
        [
            .. Rule.Compare("metrics of the account", ["Transactions"], alerts.Select(MetricOf)),
            .. from alert in alerts
               let dimension = Criterion(alert).GetProperty("dimensions")[0]
               where dimension.GetProperty("name").GetString() != "ResponseType"
                   || !dimension.GetProperty("values").EnumerateArray().Any(value => value.GetString() == "ServerBusyError")
               select $"{alert.Name} counts other answers than ServerBusy",
        ];
    }

    public static IEnumerable<string> WhoeverIsToldIsToldOfEveryAlert(Prediction deployment)
    {
        var told = deployment.OfType("Microsoft.Insights/actionGroups").SingleOrDefault()?.Id;
        return
        [
            .. from alert in deployment.OfType(LogAlert)
               where told != alert.At("properties.actions.actionGroups").EnumerateArray().Select(id => id.GetString()).SingleOrDefault()
               select $"{alert.Name} tells nobody",
            .. from alert in deployment.OfType(MetricAlert)
               where told != alert.At("properties.actions").EnumerateArray().Select(action => action.GetProperty("actionGroupId").GetString()).SingleOrDefault()
               select $"{alert.Name} tells nobody",
        ];
    }

    private static IEnumerable<string> Logged(Prediction deployment, string source, string category, string workspace) =>
        Rule.Compare(
            $"logs of {source}",
            [category],
            from setting in deployment.OfType("Microsoft.Insights/diagnosticSettings")
            where setting.Id.StartsWith($"{source}/providers/", StringComparison.Ordinal) && setting.Text("properties.workspaceId") == workspace
            from log in setting.At("properties.logs").EnumerateArray()
            where log.GetProperty("enabled").GetBoolean()
            select log.GetProperty("category").GetString());

    private static string MessageOf(string method) =>
        typeof(CheckpointPipeline).Assembly.GetType("CloudShards.Sharding.Log")!.GetMethod(method)!.GetCustomAttribute<LoggerMessageAttribute>()!.Message;

    private static string ScopeOf(PredictedResource alert) => alert.At("properties.scopes").EnumerateArray().Single().GetString()!;

    private static string QueryOf(PredictedResource alert) => Criterion(alert).GetProperty("query").GetString()!;

    private static string MetricOf(PredictedResource alert) => Criterion(alert).GetProperty("metricName").GetString()!;

    private static System.Text.Json.JsonElement Criterion(PredictedResource alert) => alert.At("properties.criteria.allOf").EnumerateArray().Single();

    [GeneratedRegex("message (?<operator>startswith|contains) '(?<text>[^']+)'")]
    private static partial Regex Clause { get; }
}
