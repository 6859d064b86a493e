using System.Diagnostics;
using CloudShards.Testing;

namespace Quickstart.Tests;

/// <summary>The program as a newcomer starts it, with a file or a wrong argument. Without an argument, CI itself runs it.</summary>
public sealed class ProcessTests
{
    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task AFileIsListedTensorByTensor()
    {
        var file = CorpusFile.Get("plain.pt");

        var (exitCode, output, errors) = await RunAsync(file.Path);

        Assert.Equal((0, ""), (exitCode, errors));
        Assert.All(file.Tensors, tensor => Assert.Contains($"  {tensor.Name} ", output, StringComparison.Ordinal));
        Assert.Matches(@"\nplain@sha256:[0-9a-f]{64}: \d+ tensors, [\d,]+ bytes\n$", output);
    }

    [Theory]
    [InlineData("evil_os_system.pt", "evil_os_system.pt was not sharded: ")]
    [InlineData("truncated_half.pt", "truncated_half.pt was not sharded: ")]
    public async Task ABadFileIsSaidInOneLineAndEndsWithOne(string name, string beginning)
    {
        var (exitCode, output, errors) = await RunAsync(CorpusFile.Get(name).Path);

        AssertFailed(exitCode, output, errors, beginning);
    }

    [Fact]
    public async Task AFileOfASetIsNotWaitedFor()
    {
        var (exitCode, output, errors) = await RunAsync(CorpusFile.Get("hf_st/model-00001-of-00002.safetensors").Path);

        AssertFailed(exitCode, output, errors, "model-00001-of-00002.safetensors is a part of a set");
        Assert.Contains("waits for `", errors, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("there is no file `nofile.pt`", "nofile.pt")]
    [InlineData("is a folder", ".")]
    [InlineData("it takes one argument at most", "a", "b")]
    public async Task AWrongArgumentIsSaid(string because, params string[] arguments)
    {
        var (exitCode, output, errors) = await RunAsync(arguments);

        AssertFailed(exitCode, output, errors, "");
        Assert.Contains(because, errors, StringComparison.Ordinal);
        Assert.Empty(output);
    }

    private static void AssertFailed(int exitCode, string output, string errors, string beginning)
    {
        Assert.Equal(1, exitCode);
        Assert.StartsWith($"quickstart failed: {beginning}", errors, StringComparison.Ordinal);
        Assert.Equal(1, errors.Count(character => character == '\n'));
        Assert.DoesNotContain("   at ", output + errors, StringComparison.Ordinal);
        Assert.DoesNotContain("warn:", output, StringComparison.Ordinal);
    }

    private static async Task<(int ExitCode, string Output, string Errors)> RunAsync(params string[] arguments)
    {
        var path = Path.Combine(AppContext.BaseDirectory, "Quickstart" + (OperatingSystem.IsWindows() ? ".exe" : ""));
        using var process = Process.Start(new ProcessStartInfo(path, arguments) { RedirectStandardOutput = true, RedirectStandardError = true })!;
        var (output, errors) = (process.StandardOutput.ReadToEndAsync(Token), process.StandardError.ReadToEndAsync(Token));
        await process.WaitForExitAsync(Token);
        return (process.ExitCode, await output, await errors);
    }
}
