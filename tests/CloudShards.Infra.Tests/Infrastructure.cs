using System.Collections.Concurrent;
using System.Text.Json;
using System.Text.Json.Nodes;
using CloudShards.Testing;

[assembly: AssemblyFixture(typeof(CloudShards.Infra.Tests.Infrastructure))]

namespace CloudShards.Infra.Tests;

/// <summary>What the Bicep CLI says of <c>infra/</c>, asked once for all tests.</summary>
public sealed class Infrastructure : IAsyncLifetime
{
    /// <summary>The parameter files: what azd deploys to whom <see cref="AzdVariables"/> tell of, nothing chosen, everything chosen.</summary>
    internal static readonly string[] ParameterFiles = ["main.bicepparam", "tests/dev.bicepparam", "tests/prod.bicepparam"];

    /// <summary>What azd sets, and what a user may set: a name that azd allows and Azure does not, lists with spaces and commas too many.</summary>
    internal static readonly Dictionary<string, string> AzdVariables = new()
    {
        ["AZURE_ENV_NAME"] = "Team_A.(EU)",
        ["AZURE_LOCATION"] = "westeurope",
        ["AZURE_PRINCIPAL_ID"] = "55555555-5555-5555-5555-555555555555",
        ["AZURE_PRINCIPAL_TYPE"] = "User",
        ["CLOUDSHARDS_READERS"] = " 66666666-6666-6666-6666-666666666666 , ,77777777-7777-7777-7777-777777777777, ",
        ["CLOUDSHARDS_ALERT_EMAILS"] = "oncall@example.com, somebody@example.com ,",
    };

    private readonly ConcurrentDictionary<string, Task<Prediction>> _predictions = new();
    private readonly ConcurrentDictionary<string, Task<(string[] Diagnostics, string? Template)>> _compilations = new();
    private BicepCli? _bicep;

    /// <summary>The folder with <c>main.bicep</c>.</summary>
    internal static string Folder { get; } = Path.Combine(Repository.Root, "infra");

    /// <summary>Every Bicep file, relative to the folder.</summary>
    internal static IEnumerable<string> Files =>
        from file in Directory.EnumerateFiles(Folder, "*.bicep*", SearchOption.AllDirectories)
        let path = Path.GetRelativePath(Folder, file).Replace('\\', '/')
        orderby path
        select path;

    private BicepCli Bicep => _bicep ?? throw new InvalidOperationException("xunit has not started the fixture.");

    public ValueTask InitializeAsync()
    {
        _bicep = BicepCli.Start(AzdVariables);
        return ValueTask.CompletedTask;
    }

    public ValueTask DisposeAsync() => _bicep is null ? ValueTask.CompletedTask : _bicep.DisposeAsync();

    /// <summary>What a parameter file would deploy.</summary>
    internal Task<Prediction> PredictAsync(string parameterFile) =>
        _predictions.GetOrAdd(parameterFile, file => PredictAsync(Folder, file, CancellationToken.None));

    /// <summary>What a parameter file in a copy of the folder would deploy.</summary>
    internal async Task<Prediction> PredictAsync(string folder, string parameterFile, CancellationToken cancellationToken)
    {
        // As eng/infra-snapshots.sh has it. The ids are nobody's; names are made of them.
        var metadata = new JsonObject
        {
            ["tenantId"] = "00000000-0000-0000-0000-000000000001",
            ["subscriptionId"] = "00000000-0000-0000-0000-000000000002",
            ["resourceGroup"] = null,
            ["location"] = "westeurope",
            ["deploymentName"] = "snapshot",
        };
        var answer = await Bicep.AskAsync(
            "bicep/getSnapshot",
            new() { ["path"] = Path.Combine(folder, parameterFile), ["metadata"] = metadata, ["externalInputs"] = null },
            cancellationToken);
        return new(JsonElement.Parse(answer.GetProperty("snapshot").GetString()!));
    }

    /// <summary>What the compiler and the linter have to say about a file and all that it uses; and the compiled template.</summary>
    internal Task<(string[] Diagnostics, string? Template)> CompileAsync(string file) =>
        _compilations.GetOrAdd(file, key => CompileAsync(Folder, key, CancellationToken.None));

    /// <summary>The same of a file in a copy of the folder.</summary>
    internal async Task<(string[] Diagnostics, string? Template)> CompileAsync(string folder, string file, CancellationToken cancellationToken)
    {
        var isParameters = Path.GetExtension(file) == ".bicepparam";
        var answer = await Bicep.AskAsync(
            isParameters ? "bicep/compileParams" : "bicep/compile",
            isParameters
                ? new() { ["path"] = Path.Combine(folder, file), ["parameterOverrides"] = new JsonObject() }
                : new() { ["path"] = Path.Combine(folder, file) },
            cancellationToken);
        var diagnostics =
            from diagnostic in answer.GetProperty("diagnostics").EnumerateArray()
            let line = diagnostic.GetProperty("range").GetProperty("start").GetProperty("line").GetInt32() + 1
            let source = Path.GetRelativePath(folder, diagnostic.GetProperty("source").GetString()!)
            select $"{source}({line}): {diagnostic.GetProperty("code").GetString()}: {diagnostic.GetProperty("message").GetString()}";
        return ([.. diagnostics], answer.TryGetProperty("contents", out var contents) ? contents.GetString() : null);
    }

    /// <summary>A file as the formatter would have it.</summary>
    internal async Task<string> FormatAsync(string folder, string file, CancellationToken cancellationToken)
    {
        var answer = await Bicep.AskAsync("bicep/format", new() { ["path"] = Path.Combine(folder, file) }, cancellationToken);
        return answer.GetProperty("contents").GetString()!;
    }
}
