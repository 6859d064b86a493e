using System.Reflection;
using System.Text.RegularExpressions;
using CloudShards.Functions;
using CloudShards.Sharding;
using CloudShards.Testing;
using Microsoft.Extensions.Logging;

namespace CloudShards.Infra.Tests.Rules;

internal static partial class AlertRules
{
    private const string LogAlert = "Microsoft.Insights/scheduledQueryRules";
    private const string MetricAlert = "Microsoft.Insights/metricAlerts";

    // Written down a second time on purpose: an alert that is off, or looks for too much or too seldom, looks like one that has nothing to tell.
    private static readonly Watch[] Expected =
    [
        .. StorageRules.Queues.Select(queue => Log(queue + StorageNames.PoisonSuffix)),
        Log("failed-job"),
        Log("idle-app") with { Window = "P1D" },
        Log("garbage"),
        Metric("dead-letter"),
        Metric("dropped-event"),
        Metric("failed-delivery") with { Window = "PT15M" },
        Metric("throttling") with { Window = "PT15M", Condition = "Total GreaterThan 100" },
    ];

    // Every answer of the service that says that it was asked too much.
    private static readonly string[] ThrottlingAnswers =
    [
        "ClientAccountBandwidthThrottlingError", "ClientAccountRequestThrottlingError", "ClientThrottlingError", "ServerBusyError", "SuccessWithThrottling",
    ];

    public static IEnumerable<string> EveryAlertIsOnAndTellsInTime(Prediction deployment) => Rule.Compare(
        "alerts",
        Expected,
        from alert in deployment.OfType(LogAlert).Concat(deployment.OfType(MetricAlert))
        let criterion = Criterion(alert)
        select new Watch(
            TopicOf(alert),
            alert.At("properties.enabled").GetBoolean(),
            alert.Text("properties.evaluationFrequency")!,
            alert.Text("properties.windowSize")!,
            $"{criterion.GetProperty("timeAggregation")} {criterion.GetProperty("operator")} {criterion.GetProperty("threshold")}"));

    public static IEnumerable<string> EveryQueueHasAnAlertOfItsPoisonQueue(Prediction deployment)
    {
        var workspace = Workspace(deployment);
        return
        [
            .. from queue in StorageRules.Queues
               let name = queue + StorageNames.PoisonSuffix
               from wrong in Asks(deployment, name, workspace, $"StorageQueueLogs | where {PutInto(deployment, name)}")
               select wrong,
            .. Logged(deployment, $"{deployment.Data.Id}/queueServices/default", "StorageWrite", workspace),
        ];
    }

    /// <summary>The alert's texts are held against those that the code logs; the worker's line on each message tells of the same job once more.</summary>
    public static IEnumerable<string> FailedJobsHaveAnAlertThatKnowsWhatTheCodeLogs(Prediction deployment)
    {
        var alert = Alert(deployment, "failed-job");
        if (alert is null || ScopeOf(alert) != deployment.OfType("Microsoft.Insights/components").Single().Id)
        {
            return ["no alert of failed jobs asks Application Insights"];
        }

        Type pipeline = typeof(CheckpointPipeline), app = typeof(ShardingFunctions);
        bool IsTold(string message) => Clause.Matches(QueryOf(alert)).Any(clause => clause.Groups["operator"].Value == "startswith"
            ? message.StartsWith(clause.Groups["text"].Value, StringComparison.Ordinal)
            : message.Contains(clause.Groups["text"].Value, StringComparison.Ordinal));
        return
        [
            .. from message in (string[])[MessageOf(pipeline, "GaveUp"), MessageOf(pipeline, "Ended")]
               where !IsTold(message)
               select $"no alert of \"{message}\"",
            .. Rule.Unless(!IsTold(MessageOf(app, "Handled")), $"an alert of \"{MessageOf(app, "Handled")}\""),
        ];
    }

    public static IEnumerable<string> AnAppThatDoesNotRunHasAnAlert(Prediction deployment) =>
    [
        .. Asks(
            deployment,
            "idle-app",
            Workspace(deployment),
            $"union isfuzzy=true (StorageQueueLogs | where {PutInto(deployment, StorageNames.Events)} and TimeGenerated < ago(1h)),"
                + " (AppRequests | where Name == 'CheckpointUploaded') | summarize arg_max(TimeGenerated, Type) | where Type == 'StorageQueueLogs'"),
        .. IsFunction("CheckpointUploaded"),
    ];

    public static IEnumerable<string> FailedCollectionsOfGarbageHaveAnAlert(Prediction deployment) =>
    [
        .. Asks(deployment, "garbage", Workspace(deployment), "AppRequests | where Name == 'CollectGarbage' and Success == false"),
        .. IsFunction("CollectGarbage"),
    ];

    /// <summary>Dead letters share the account and the identity of the queue: where neither can be written to, only the other two tell.</summary>
    public static IEnumerable<string> DeadLettersHaveAnAlert(Prediction deployment)
    {
        var topic = deployment.OfType("Microsoft.EventGrid/systemTopics").Single().Id;
        return
        [
            .. Rule.Compare(
                "metrics of the topic",
                ["DeadLetteredCount", "DeliveryAttemptFailCount", "DroppedEventCount"],
                deployment.OfType(MetricAlert).Where(alert => ScopeOf(alert) == topic).Select(MetricOf)),
            .. Logged(deployment, topic, "DeliveryFailures", Workspace(deployment)),
        ];
    }

    public static IEnumerable<string> ThrottlingHasAnAlert(Prediction deployment)
    {
        var alerts = deployment.OfType(MetricAlert).Where(alert => ScopeOf(alert) == deployment.Data.Id).ToArray();
        return
        [
            .. Rule.Compare("metrics of the account", ["Transactions"], alerts.Select(MetricOf)),
            .. from alert in alerts
               let dimension = Criterion(alert).GetProperty("dimensions").EnumerateArray().Single()
               from wrong in Rule.Unless($"{dimension.GetProperty("name")} {dimension.GetProperty("operator")}" == "ResponseType Include", $"{alert.Name} counts by {dimension}")
                   .Concat(Rule.Compare("answers", ThrottlingAnswers, dimension.GetProperty("values").EnumerateArray().Select(value => value.GetString())))
               select wrong,
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

    private static Watch Log(string topic) => new(topic, IsOn: true, Every: "PT15M", Window: "PT30M", Condition: "Count GreaterThan 0");

    private static Watch Metric(string topic) => new(topic, IsOn: true, Every: "PT5M", Window: "PT5M", Condition: "Total GreaterThan 0");

    private static IEnumerable<string> Asks(Prediction deployment, string topic, string scope, string query) =>
        Alert(deployment, topic) is { } alert
            ? Rule.Compare(alert.Name, [scope, query], [ScopeOf(alert), QueryOf(alert)])
            : [$"no alert {topic}"];

    // A function is named by its attribute, which is compiled with the worker alone.
    private static IEnumerable<string> IsFunction(string name)
    {
        var triggers = Directory.EnumerateFiles(Path.Combine(Repository.Root, "functions", "CloudShards.Functions", "Triggers"), "*.cs");
        return Rule.Unless(triggers.Any(file => File.ReadAllText(file).Contains($"[Function(nameof({name}))]", StringComparison.Ordinal)), $"{name} is no function");
    }

    // As it is logged of a job that failed.
    private static string MessageOf(Type of, string method) =>
        of.Assembly.GetType($"{of.Namespace}.Log")!.GetMethod(method)!.GetCustomAttribute<LoggerMessageAttribute>()!.Message
            .Replace("{State}", nameof(JobState.Failed), StringComparison.Ordinal);

    private static string PutInto(Prediction deployment, string queue) =>
        $"AccountName == '{deployment.Data.Name}' and OperationName == 'PutMessage' and Uri contains '/{queue}/messages'";

    private static string Workspace(Prediction deployment) => deployment.OfType("Microsoft.OperationalInsights/workspaces").Single().Id;

    private static PredictedResource? Alert(Prediction deployment, string topic) =>
        deployment.OfType(LogAlert).SingleOrDefault(alert => TopicOf(alert) == topic);

    private static string TopicOf(PredictedResource alert) => Topic.Match(alert.Name).Groups["topic"].Value;

    private static string ScopeOf(PredictedResource alert) => alert.At("properties.scopes").EnumerateArray().Single().GetString()!;

    private static string QueryOf(PredictedResource alert) => Criterion(alert).GetProperty("query").GetString()!;

    private static string MetricOf(PredictedResource alert) => Criterion(alert).GetProperty("metricName").GetString()!;

    private static System.Text.Json.JsonElement Criterion(PredictedResource alert) => alert.At("properties.criteria.allOf").EnumerateArray().Single();

    [GeneratedRegex("^alert-(?<topic>.+)-cloudshards-")]
    private static partial Regex Topic { get; }

    [GeneratedRegex("message (?<operator>startswith|contains) '(?<text>[^']+)'")]
    private static partial Regex Clause { get; }

    private sealed record Watch(string Topic, bool IsOn, string Every, string Window, string Condition);
}
