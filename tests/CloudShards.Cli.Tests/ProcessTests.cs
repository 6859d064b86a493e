using System.Diagnostics;
using CloudShards.Testing;

namespace CloudShards.Cli.Tests;

/// <summary>The program itself, as its user starts it.</summary>
public sealed class ProcessTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public async Task WhatIsAskedForGoesToStandardOutput()
    {
        var file = CorpusFile.Get("plain.safetensors");

        var run = await RunAsync("inspect", "--json", "--digests", file.Path);

        run.AssertIs(file);
    }

    [Fact]
    public async Task ARefusedFileRunsNothingAndEndsWithTwo()
    {
        var run = await RunAsync("inspect", "--json", CorpusFile.Get("evil_os_system.pt").Path);

        run.AssertRefused();
        Assert.Empty(Directory.EnumerateFileSystemEntries(_folder.Path));
    }

    [Fact]
    public async Task VersionAndHelpAreThere()
    {
        var (version, help) = (await RunAsync("--version"), await RunAsync("inspect", "--help"));

        Assert.Matches(@"^\d+\.\d+\.\d+", version.Output);
        Assert.Contains("cloudshards inspect model.safetensors", help.Output, StringComparison.Ordinal);
        Assert.Equal((ExitCode.Done, ExitCode.Done), (version.ExitCode, help.ExitCode));
    }

    [Fact]
    public async Task AWrongCommandLineEndsWithOne() => Assert.Equal(ExitCode.Failed, (await RunAsync("inspect")).ExitCode);

    [Fact]
    public async Task ASignalEndsItInOrder()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "Windows has no `kill`.");
        var asked = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        await using var server = new RangeServer
        {
            Answer = _ =>
            {
                asked.SetResult();
                return ServerAnswer.Silence;
            },
        };
        using var process = Start("inspect", server.Address("/model").AbsoluteUri);
        await asked.Task.WaitAsync(TestContext.Current.CancellationToken);

        // SIGINT ends it likewise, but reaches no process that was started in the background.
        using var kill = Process.Start("kill", ["-TERM", $"{process.Id}"]);

        Assert.Equal(new(ExitCode.Interrupted, "", ""), await ResultAsync(process));
    }

    private async Task<CommandRun> RunAsync(params IEnumerable<string> args)
    {
        using var process = Start(args);
        return await ResultAsync(process);
    }

    private Process Start(params IEnumerable<string> args)
    {
        var program = Path.Combine(AppContext.BaseDirectory, $"{typeof(CommandLine).Assembly.GetName().Name}.dll");
        var dotnet = Environment.GetEnvironmentVariable("DOTNET_HOST_PATH") ?? "dotnet";
        return Process.Start(new ProcessStartInfo(dotnet, [program, .. args])
        {
            WorkingDirectory = _folder.Path,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        })!;
    }

    private static async Task<CommandRun> ResultAsync(Process process)
    {
        var token = TestContext.Current.CancellationToken;
        var (output, error) = (process.StandardOutput.ReadToEndAsync(token), process.StandardError.ReadToEndAsync(token));
        await process.WaitForExitAsync(token);
        return new(process.ExitCode, await output, await error);
    }
}
