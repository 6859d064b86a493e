using System.Text.Json;
using CloudShards.Testing;

namespace CloudShards.Cli.Tests;

/// <summary>A command that has ended: its exit code and what it wrote.</summary>
internal sealed record CommandRun(int ExitCode, string Output, string Error)
{
    /// <summary>The output's one document.</summary>
    public JsonElement Json => JsonElement.Parse(Output);

    /// <summary>Runs <c>cloudshards</c> in this process.</summary>
    public static async Task<CommandRun> RunAsync(IReadOnlyList<string> args, CancellationToken cancellationToken, TextWriter? terminal = null)
    {
        await using var output = new StringWriter { NewLine = "\n" };
        await using var error = new StringWriter { NewLine = "\n" };
        var exitCode = await CommandLine.RunAsync(args, output, error, terminal, cancellationToken);
        return new(exitCode, output.ToString(), error.ToString());
    }

    /// <summary>Runs <c>cloudshards inspect</c> in this process.</summary>
    public static Task<CommandRun> InspectAsync(params IReadOnlyList<string> args) =>
        RunAsync(["inspect", .. args], TestContext.Current.CancellationToken);

    /// <summary>Checks that the output is what a file's sidecar says, digests included.</summary>
    public void AssertIs(CorpusFile file)
    {
        Assert.Equal(("", Cli.ExitCode.Done), (Error, ExitCode));
        Assert.Equal(file.Format, Json.GetProperty("format").GetString());
        Assert.Equal(JsonValueKind.Object, Json.GetProperty("values").ValueKind);
        Assert.Equal(JsonValueKind.Object, Json.GetProperty("metadata").ValueKind);
        var tensors = Json.GetProperty("tensors").EnumerateArray().ToArray();
        Assert.Equal(file.Tensors.Select(tensor => tensor.Name), tensors.Select(tensor => tensor.GetProperty("name").GetString()));
        Assert.All(file.Tensors.Zip(tensors), pair =>
        {
            var (expected, found) = pair;
            var dtype = found.GetProperty("dtype").GetString();
            Assert.Equal(expected.SafetensorsDType ?? dtype, dtype);
            Assert.Equal(expected.Shape, found.GetProperty("shape").EnumerateArray().Select(size => size.GetInt64()));
            Assert.Equal(expected.Bytes, found.GetProperty("bytes").GetInt64());
            Assert.Equal(expected.Sha256, found.GetProperty("sha256").GetString());
        });
    }

    /// <summary>Checks that the file was refused, as text and as JSON.</summary>
    public void AssertRefused()
    {
        Assert.Equal(Cli.ExitCode.Refused, ExitCode);
        var refused = Json.GetProperty("refused");
        var at = refused.GetProperty("offset") is { ValueKind: JsonValueKind.Number } offset ? $" at byte {offset.GetInt64()}" : "";
        Assert.StartsWith($"refused: {refused.GetProperty("cause").GetString()}{at}: ", Error, StringComparison.Ordinal);
        Assert.Equal(1, Error.Count(character => character == '\n'));
        Assert.NotEmpty(refused.GetProperty("message").GetString()!);
        Assert.Contains(refused.GetProperty("tensor").ValueKind, new[] { JsonValueKind.Null, JsonValueKind.String });
    }
}
