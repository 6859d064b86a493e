using System.Globalization;

namespace CloudShards.LocalHost;

/// <summary>What the program was started with. Nothing else is: variables like WORK or ACCOUNT have meanings of their own on many machines.</summary>
/// <param name="Options">What to work on.</param>
/// <param name="Folder">Where an Azurite that is started keeps its data; null for nowhere.</param>
internal sealed record CommandLine(LocalHostOptions Options, string? Folder)
{
    /// <exception cref="ArgumentException">An option is unknown, lacks its value, or has one that cannot be used.</exception>
    public static CommandLine Parse(ReadOnlySpan<string> arguments)
    {
        var line = new CommandLine(new(), null);
        for (; arguments is not []; arguments = arguments[2..])
        {
            line = arguments switch
            {
                ["--connection-string", var text, ..] => line with { Options = line.Options with { ConnectionString = text } },
                ["--account", var name, ..] => line with { Options = line.Options with { Account = name } },
                ["--uploads", var container, ..] => line with { Options = line.Options with { Uploads = container } },
                ["--shards", var container, ..] => line with { Options = line.Options with { Shards = container } },
                ["--work", var container, ..] => line with { Options = line.Options with { Work = container } },
                ["--events", var queue, ..] => line with { Options = line.Options with { Events = queue } },
                ["--batches", var queue, ..] => line with { Options = line.Options with { Batches = queue } },
                ["--batch-shards", var number, ..] => line with
                {
                    Options = line.Options with { Sharding = line.Options.Sharding with { MaxBatchShards = NumberOf("--batch-shards", number) } },
                },
                ["--packed-bytes", var number, ..] => line with
                {
                    Options = line.Options with { Sharding = line.Options.Sharding with { MaxPackedBytes = NumberOf("--packed-bytes", number, 0) } },
                },
                ["--visibility", var seconds, ..] => line with
                {
                    Options = line.Options with { Visibility = TimeSpan.FromSeconds(NumberOf("--visibility", seconds)) },
                },
                ["--folder", var folder, ..] => line with { Folder = folder },
                _ => throw Errors.NotAnOption(arguments[0]),
            };
        }

        return line.Options.Sharding.FindProblems().FirstOrDefault() is { } problem ? throw Errors.NotAnAmount(problem) : line;
    }

    private static int NumberOf(string option, string text, int least = 1) =>
        int.TryParse(text, CultureInfo.InvariantCulture, out var number) && number >= least ? number : throw Errors.NotANumber(option, text, least);
}
