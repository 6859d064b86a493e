using System.Diagnostics;

namespace CloudShards.Chaos;

/// <summary>A local host in a process of its own, on an account that it is given.</summary>
internal sealed class Worker : IDisposable
{
    private readonly Process _process;

    public Worker(string connection, ChaosOptions options)
    {
        var path = Path.Combine(AppContext.BaseDirectory, "CloudShards.LocalHost" + (OperatingSystem.IsWindows() ? ".exe" : ""));
        var start = new ProcessStartInfo(
            path,
            ["--connection-string", connection, "--batch-shards", $"{options.BatchShards}", "--packed-bytes", $"{options.PackedBytes}", "--visibility", "3"])
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        _process = Process.Start(start)!;

        // A pipe that nobody empties would stop it.
        _process.OutputDataReceived += (_, _) => { };
        _process.ErrorDataReceived += (_, _) => { };
        _process.BeginOutputReadLine();
        _process.BeginErrorReadLine();
    }

    public bool HasEnded => _process.HasExited;

    /// <summary>Ends it on the spot (SIGKILL).</summary>
    public void Kill()
    {
        _process.Kill();
        _process.WaitForExit();
    }

    public void Dispose()
    {
        Kill();
        _process.Dispose();
    }
}
