using System.CommandLine;
using CloudShards.Formats;

namespace CloudShards.Cli;

/// <summary>How every command ends: its exit code, and where it failed the one line that says why.</summary>
internal static class CommandEnd
{
    /// <summary>Runs a command.</summary>
    /// <param name="command">It; gives its own exit code.</param>
    /// <param name="streams">Where it writes.</param>
    /// <param name="isJson">Whether a refusal is also written as JSON.</param>
    /// <param name="cancellationToken">Has ended it where it was cancelled.</param>
    public static async Task<int> OfAsync(
        Func<Task<int>> command, InvocationConfiguration streams, bool isJson, CancellationToken cancellationToken)
    {
        try
        {
            return await command();
        }
        catch (CheckpointFormatException refusal)
        {
            if (isJson)
            {
                InspectionJson.WriteRefusal(refusal, streams.Output);
            }

            await streams.Error.WriteLineAsync(InspectionText.Refusal(refusal));
            return ExitCode.Refused;
        }
        catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
        {
            return ExitCode.Interrupted;
        }
        catch (Exception e) when (Errors.Explain(e) is { } explanation)
        {
            await streams.Error.WriteLineAsync($"error: {Printable.Line(explanation)}");
            return ExitCode.Failed;
        }
    }
}
