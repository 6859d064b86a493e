using Azure;
using Azure.Identity;
using CloudShards.LocalHost;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

if (args.Any(argument => argument is "--help" or "-h"))
{
    Console.WriteLine("""
        Watches a container for checkpoints and shards them, on this machine.

          cloudshards-localhost                               starts an Azurite of its own
          cloudshards-localhost --connection-string TEXT      works on that account
          cloudshards-localhost --account NAME                works on that account, as whom you are signed in

        Also: --uploads, --shards, --work CONTAINER; --events, --batches QUEUE; --batch-shards N, the shards
        that one batch has at most; --packed-bytes N, the bytes of the largest shard that is repeated in a pack,
        0 for no packs; --visibility SECONDS, after which others take over the work of a host that died; --folder FOLDER keeps Azurite's data there. Ctrl+C ends it.
        """);
    return 0;
}

try
{
    var (options, folder) = CommandLine.Parse(args);
    var startsAzurite = options is { ConnectionString: null, Account: null };
    await using var azurite = startsAzurite
        ? await AzuriteServer.StartAsync(new() { Folder = folder, Progress = new Progress<string>(Console.WriteLine) })
        : null;
    options = azurite is null ? options : options with { ConnectionString = azurite.ConnectionString };

    var builder = Host.CreateApplicationBuilder();
    builder.Logging.AddSimpleConsole(console => console.SingleLine = true);
    builder.Logging.AddFilter("Microsoft", LogLevel.Warning);
    builder.Logging.AddFilter("Azure", LogLevel.Warning);
    builder.Services.AddLocalSharding(options);
    using var host = builder.Build();
    await host.Services.GetRequiredService<LocalStorage>().CreateAsync(CancellationToken.None);
    await host.StartAsync();
    if (azurite is not null)
    {
        Console.WriteLine($"Connection string: {azurite.ConnectionString}");
    }

    Console.WriteLine($"Upload checkpoints to the container `{options.Uploads}`; shards go to `{options.Shards}`. Ctrl+C ends this.");
    await host.WaitForShutdownAsync();
    return 0;
}
catch (AuthenticationFailedException e)
{
    await Console.Error.WriteLineAsync(Errors.NotSignedIn(CommandLine.Parse(args).Options.Account ?? "", e.Message.Split('\n')[0].Trim()));
    return 1;
}
catch (Exception e) when (e is AzuriteException or RequestFailedException or AggregateException
    or ArgumentException or FormatException or IOException or UnauthorizedAccessException)
{
    await Console.Error.WriteLineAsync($"The local host cannot start: {e.Message}");
    return 1;
}
