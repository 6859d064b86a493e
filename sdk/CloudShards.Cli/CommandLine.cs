using System.CommandLine;
using System.CommandLine.Help;

namespace CloudShards.Cli;

/// <summary>The commands of the tool.</summary>
internal static class CommandLine
{
    // Whoever presses Ctrl+C waits no longer than that for what still runs.
    private static readonly TimeSpan InterruptionTimeout = TimeSpan.FromSeconds(2);

    /// <summary>Runs a command line to its end.</summary>
    /// <param name="args">The arguments, without the program's name.</param>
    /// <param name="output">What was asked for.</param>
    /// <param name="error">Why it cannot be had.</param>
    /// <param name="terminal">Where progress is drawn; null for nowhere.</param>
    /// <param name="cancellationToken">Ends it, as Ctrl+C does.</param>
    /// <returns>The process's exit code, one of <see cref="ExitCode"/>.</returns>
    public static async Task<int> RunAsync(
        IReadOnlyList<string> args, TextWriter output, TextWriter error, TextWriter? terminal, CancellationToken cancellationToken)
    {
        // A RootCommand would be named as the assembly is.
        var cloudshards = new Command("cloudshards", "Tells what is in model checkpoints, and looks after those that are sharded.")
        {
            InspectCommand.Create(),
            ListCommand.Create(),
            VerifyCommand.Create(terminal),
            TagCommand.Create(),
            new VersionOption(),
        };
        var help = new HelpOption();
        help.Action = new HelpWithExamples((HelpAction)help.Action!);
        cloudshards.Add(help);

        // A file's name may begin with @.
        var parsed = cloudshards.Parse(args, new() { ResponseFileTokenReplacer = null });
        try
        {
            var invocation = new InvocationConfiguration { Output = output, Error = error, ProcessTerminationTimeout = InterruptionTimeout };
            return await parsed.InvokeAsync(invocation, cancellationToken);
        }
        finally
        {
            await output.FlushAsync(CancellationToken.None);
        }
    }
}

/// <summary>What the process tells whoever started it.</summary>
internal static class ExitCode
{
    /// <summary>It was done.</summary>
    public const int Done = 0;

    /// <summary>It could not be done: a wrong argument, nothing there, no permission, no connection; or what was verified is damaged.</summary>
    public const int Failed = 1;

    /// <summary>The file, tag or manifest was read and refused.</summary>
    public const int Refused = 2;

    /// <summary>It was interrupted: 128 and the number of SIGINT, as shells have it.</summary>
    public const int Interrupted = 130;
}
