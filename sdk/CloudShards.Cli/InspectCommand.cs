using System.CommandLine;

namespace CloudShards.Cli;

/// <summary><c>cloudshards inspect FILE|FOLDER|URL</c>.</summary>
internal static class InspectCommand
{
    /// <summary>The command.</summary>
    public static Command Create()
    {
        var target = new Argument<string>("FILE")
        {
            Description = "A checkpoint: a file, the index of a set, a folder that holds one of these, or an https:// address. An Azure blob needs "
                + "an address with a SAS, or somebody signed in who may read it.",
        };
        var json = new Option<bool>("--json") { Description = "Write JSON, for programs." };
        var digests = new Option<bool>("--digests")
        {
            Description = "Add the SHA-256 of each tensor's contiguous, little-endian bytes. Without it, nothing but headers is read.",
        };
        var inspect = new Command("inspect", "Tells what a checkpoint holds, without loading it.") { target, json, digests };
        inspect.SetAction((parsed, cancellationToken) =>
        {
            var options = new InspectOptions
            {
                Target = parsed.GetRequiredValue(target),
                Json = parsed.GetValue(json),
                Digests = parsed.GetValue(digests),
            };
            var streams = parsed.InvocationConfiguration;
            return CommandEnd.OfAsync(() => RunAsync(options, streams.Output, cancellationToken), streams, options.Json, cancellationToken);
        });
        return inspect;
    }

    private static async Task<int> RunAsync(InspectOptions options, TextWriter output, CancellationToken cancellationToken)
    {
        using var location = await CheckpointLocation.FindAsync(options.Target, cancellationToken);
        Write(await InspectionReader.ReadAsync(location, options, cancellationToken), options.Json, output);
        return ExitCode.Done;
    }

    /// <summary>Writes an inspection as text or JSON.</summary>
    public static void Write(Inspection inspection, bool isJson, TextWriter output)
    {
        if (isJson)
        {
            InspectionJson.Write(inspection, output);
        }
        else
        {
            InspectionText.Write(inspection, output);
        }
    }
}

/// <summary>What to inspect, and how to tell.</summary>
internal sealed record InspectOptions
{
    /// <summary>A file, a folder or an address.</summary>
    public required string Target { get; init; }

    /// <summary>Whether to write JSON; text by default.</summary>
    public bool Json { get; init; }

    /// <summary>Whether to hash the tensors, for which all of them are read.</summary>
    public bool Digests { get; init; }
}
