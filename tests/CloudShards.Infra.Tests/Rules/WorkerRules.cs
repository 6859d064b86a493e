using System.Globalization;
using System.Reflection;
using System.Text.RegularExpressions;
using CloudShards.Functions;
using CloudShards.Sharding;
using CloudShards.Testing;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Options;

namespace CloudShards.Infra.Tests.Rules;

internal static partial class WorkerRules
{
    // What Flex Consumption does not take as a setting.
    private static readonly string[] Forbidden =
        ["FUNCTIONS_WORKER_RUNTIME", "FUNCTIONS_EXTENSION_VERSION", "FUNCTIONS_WORKER_PROCESS_COUNT", "WEBSITE_RUN_FROM_PACKAGE", "WEBSITE_CONTENT",
            "WEBSITE_VNET_ROUTE_ALL", "SCM_DO_BUILD_DURING_DEPLOYMENT"];

    public static IEnumerable<string> ConnectionsGoByIdentityToTheRightAccount(Prediction deployment)
    {
        var settings = deployment.Settings;
        string Value(string name) => settings.GetValueOrDefault(name, "");
        return
        [
            .. Leads("AzureWebJobsStorage__blobServiceUri", deployment.Host, "blob"),
            .. Leads($"{Connection}__blobServiceUri", deployment.Data, "blob"),
            .. Leads($"{Connection}__queueServiceUri", deployment.Data, "queue"),
            .. from connection in (string[])["AzureWebJobsStorage", Connection]
               from wrong in (IEnumerable<string>)
               [
                   .. Rule.Unless(Value($"{connection}__credential") == "managedidentity", $"{connection} goes by {Value($"{connection}__credential")}"),
                   .. Rule.Unless(IsClientId(Value($"{connection}__clientId")), $"{connection} goes as {Value($"{connection}__clientId")}"),
                   // An exact match would win over the section.
                   .. Rule.Unless(!settings.ContainsKey(connection), $"{connection} is set"),
               ]
               select wrong,
        ];

        IEnumerable<string> Leads(string setting, PredictedResource account, string service) => Rule.Unless(
            Value(setting).StartsWith($"[reference('{account.Id}', ", StringComparison.Ordinal)
            && Value(setting).EndsWith($".primaryEndpoints.{service}]", StringComparison.Ordinal),
            $"{setting} is {Value(setting)}, and should be the {service} endpoint of {account.Name}");
    }

    public static IEnumerable<string> TelemetryGoesByIdentity(Prediction deployment)
    {
        var authentication = deployment.Settings.GetValueOrDefault("APPLICATIONINSIGHTS_AUTHENTICATION_STRING", "");
        var connection = deployment.Settings.GetValueOrDefault("APPLICATIONINSIGHTS_CONNECTION_STRING", "");
        return
        [
            .. Rule.Unless(
                authentication.StartsWith("[format('ClientId={0};Authorization=AAD', ", StringComparison.Ordinal) && authentication.EndsWith(".clientId)]", StringComparison.Ordinal),
                $"telemetry goes by {authentication}"),
            .. Rule.Unless(connection.EndsWith(".ConnectionString]", StringComparison.Ordinal), $"telemetry goes to {connection}"),
        ];
    }

    /// <summary>The alert of failed jobs reads the log, of which the host would keep what belongs to five traces a second.</summary>
    public static IEnumerable<string> NothingIsSampled(Prediction deployment)
    {
        var sampling = (deployment.Settings.GetValueOrDefault("OTEL_TRACES_SAMPLER"), deployment.Settings.GetValueOrDefault("OTEL_TRACES_SAMPLER_ARG"));
        return Rule.Unless(sampling == ("microsoft.fixed_percentage", "1.0"), $"telemetry is sampled by {sampling}");
    }

    public static IEnumerable<string> TheHostFindsItsSettings(Prediction deployment) =>
    [
        .. deployment.Settings.Keys.Where(name => Forbidden.Any(start => name.StartsWith(start, StringComparison.Ordinal))).Select(name => $"{name} is refused by Flex Consumption"),
        // What a trigger takes from a setting. The app does not start without.
        .. from trigger in Directory.EnumerateFiles(Path.Combine(Repository.Root, "functions", "CloudShards.Functions", "Triggers"), "*.cs")
           from setting in Percent.Matches(File.ReadAllText(trigger)).Select(match => match.Groups["name"].Value)
           where !Schedule.IsMatch(deployment.Settings.GetValueOrDefault(setting, ""))
           select $"{Path.GetFileName(trigger)} needs {setting} as an NCRONTAB expression of six fields",
    ];

    /// <summary>The worker's own start, with the settings that it would have: a name that it does not know or a value that it cannot use stops it.</summary>
    public static IEnumerable<string> TheWorkerStartsWithItsSettings(Prediction deployment)
    {
        var configuration = new ConfigurationBuilder().AddInMemoryCollection(
            deployment.Settings.Select(setting => KeyValuePair.Create(setting.Key.Replace("__", ":", StringComparison.Ordinal), (string?)ValueOf(setting.Value)))).Build();
        using var worker = new ServiceCollection().AddLogging().AddShardingFunctions(configuration).BuildServiceProvider();
        try
        {
            worker.GetRequiredService<CheckpointPipeline>();
            return [];
        }
        catch (Exception problem) when (problem is InvalidOperationException or OptionsValidationException)
        {
            return [problem.Message];
        }
    }

    /// <summary>The Functions host, the worker and the runtime need the rest.</summary>
    public static IEnumerable<string> MemoryOfMessagesFitsIntoAnInstance(Prediction deployment)
    {
        var instance = deployment.App.At("properties.functionAppConfig.scaleAndConcurrency.instanceMemoryMB").GetInt64() << 20;
        var budget = long.Parse(deployment.Settings["Sharding__MemoryBudgetBytes"], CultureInfo.InvariantCulture);
        return Rule.Unless(
            budget * HostJson.MessagesAtOnce <= instance / 2,
            $"{HostJson.MessagesAtOnce} messages of {budget} bytes at once are more than half of an instance of {instance} bytes");
    }

    public static IEnumerable<string> TheAppRunsAsItsIdentityOnTheRuntimeOfTheCode(Prediction deployment)
    {
        var app = deployment.App;
        var identity = deployment.OfType("Microsoft.ManagedIdentity/userAssignedIdentities").Single().Id;
        var package = deployment.Containers(deployment.Host).Single();
        return
        [
            .. app.Expect("identity.type", "UserAssigned"),
            .. Rule.Compare("identities", [identity], app.At("identity.userAssignedIdentities").EnumerateObject().Select(one => one.Name)),
            .. app.Expect("properties.functionAppConfig.runtime.name", "dotnet-isolated"),
            .. app.Expect("properties.functionAppConfig.runtime.version", Framework),
            .. app.Expect("properties.functionAppConfig.deployment.storage.authentication.userAssignedIdentityResourceId", identity),
            .. Rule.Unless(
                app.Text("properties.functionAppConfig.deployment.storage.value")!.EndsWith($", '{package}')]", StringComparison.Ordinal),
                "the package is not in the container of the host's account"),
            .. deployment.OfType("Microsoft.Web/serverfarms").Single().Expect("sku.name", "FC1"),
        ];
    }

    public static IEnumerable<string> AzdFindsTheApp(Prediction deployment)
    {
        var services = Service.Matches(File.ReadAllText(Path.Combine(Repository.Root, "azure.yaml"))).Select(match => match.Groups["name"].Value);
        return Rule.Compare("services", services, [deployment.App.Text("tags.azd-service-name")!]);
    }

    // The connection that the triggers name.
    private static string Connection { get; } = (string)typeof(ShardingFunctions).Assembly
        .GetType("CloudShards.Functions.StorageConnection")!.GetField("Setting", BindingFlags.Public | BindingFlags.Static)!.GetRawConstantValue()!;

    // The version of the framework that everything here is built for, as a runtime stack names it.
    private static string Framework { get; } =
        TargetFramework.Match(File.ReadAllText(Path.Combine(Repository.Root, "Directory.Build.props"))).Groups["version"].Value;

    // Only a deployment knows the addresses; those of Azure's public cloud stand in for them.
    private static string ValueOf(string setting) => Endpoint.Replace(setting, "https://${account}.${service}.core.windows.net/");

    private static bool IsClientId(string value) =>
        value.Contains("/userAssignedIdentities/", StringComparison.Ordinal) && value.EndsWith(".clientId]", StringComparison.Ordinal);

    [GeneratedRegex(@"<TargetFramework>net(?<version>\d+\.\d+)</TargetFramework>")]
    private static partial Regex TargetFramework { get; }

    [GeneratedRegex(@"^\[reference\('[^']*/(?<account>[a-z0-9]+)', '[^']+'\)\.primaryEndpoints\.(?<service>[a-z]+)\]$")]
    private static partial Regex Endpoint { get; }

    [GeneratedRegex(@"""%(?<name>\w+)%""")]
    private static partial Regex Percent { get; }

    [GeneratedRegex(@"^\S+( \S+){5}$")]
    private static partial Regex Schedule { get; }

    [GeneratedRegex(@"^  (?<name>\w+):\r?\n    project: ", RegexOptions.Multiline)]
    private static partial Regex Service { get; }
}
