using CloudShards.LocalHost;
using Xunit.Runner.InProc.SystemConsole;

if (args is not [AzuriteStarter.Argument])
{
    return await ConsoleRunner.Run(args);
}

await using var server = await AzuriteServer.StartAsync();
await Console.Out.WriteLineAsync(server.Folder);
await Task.Delay(Timeout.Infinite);
return 0;

/// <summary>This program as a starter of Azurite that waits to be killed.</summary>
internal static class AzuriteStarter
{
    public const string Argument = "start-azurite";

    public static string Command { get; } =
        Path.Combine(AppContext.BaseDirectory, "CloudShards.LocalHost.Tests" + (OperatingSystem.IsWindows() ? ".exe" : ""));
}
