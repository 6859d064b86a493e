using System.Diagnostics;

namespace CloudShards.EndToEnd.Tests;

/// <summary>The local host's program, running.</summary>
internal sealed class LocalHostProgram : IDisposable
{
    private const string Announcement = "Connection string: ";

    private readonly Process _process;
    private readonly Task<string> _errors;
    private string _output = "";

    private LocalHostProgram(Process process)
    {
        _process = process;
        _errors = process.StandardError.ReadToEndAsync(TestContext.Current.CancellationToken);
    }

    /// <summary>What it wrote to stderr, once it has ended.</summary>
    public string Errors { get; private set; } = "";

    /// <summary>What it wrote to stdout and nobody waited for, once it has ended.</summary>
    public string Output => _output;

    public static LocalHostProgram Start(params string[] arguments) => Start([], arguments);

    public static LocalHostProgram Start(Dictionary<string, string?> variables, params string[] arguments)
    {
        var path = Path.Combine(AppContext.BaseDirectory, "CloudShards.LocalHost" + (OperatingSystem.IsWindows() ? ".exe" : ""));
        var start = new ProcessStartInfo(path, arguments) { RedirectStandardOutput = true, RedirectStandardError = true };
        foreach (var (name, value) in variables)
        {
            start.Environment[name] = value;
        }

        return new(Process.Start(start)!);
    }

    public async Task<string> ConnectionStringAsync(CancellationToken cancellationToken)
    {
        while (await _process.StandardOutput.ReadLineAsync(cancellationToken) is { } line)
        {
            if (line.StartsWith(Announcement, StringComparison.Ordinal))
            {
                return line[Announcement.Length..];
            }
        }

        throw new InvalidOperationException($"The program ended without a connection string: {await _errors}");
    }

    public async Task SignalAsync(int signal, CancellationToken cancellationToken)
    {
        using var kill = Process.Start("kill", [$"-{signal}", $"{_process.Id}"]);
        await kill.WaitForExitAsync(cancellationToken);
    }

    /// <summary>Waits for its end and gives its exit code.</summary>
    public async Task<int> EndAsync(CancellationToken cancellationToken)
    {
        _output = await _process.StandardOutput.ReadToEndAsync(cancellationToken);
        Errors = await _errors;
        await _process.WaitForExitAsync(cancellationToken);
        return _process.ExitCode;
    }

    public void Dispose()
    {
        _process.Kill(entireProcessTree: true);
        _process.Dispose();
    }
}
