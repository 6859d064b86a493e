using System.ComponentModel;
using System.Diagnostics;

namespace CloudShards.LocalHost;

/// <summary>A program that this one starts, hears and ends. It is not left behind: disposal kills what is still running.</summary>
internal sealed class ChildProcess : IAsyncDisposable
{
    private const int TailLines = 20;

    private readonly Process _process;
    private readonly Queue<string> _tail = new(TailLines);

    private ChildProcess(Process process, Action<string>? onOutput)
    {
        _process = process;
        Id = process.Id;
        Ended = FollowAsync(onOutput);
    }

    public int Id { get; }

    /// <summary>Gives the exit code, once everything that the program wrote has been read.</summary>
    public Task<int> Ended { get; }

    /// <summary>The last lines that the program wrote, each after a line break.</summary>
    public string LastLines
    {
        get
        {
            lock (_tail)
            {
                return string.Concat(_tail.Select(line => $"{Environment.NewLine}  {line}"));
            }
        }
    }

    /// <summary>Starts a program whose stdin stays open and whose stdout goes, line by line, to <paramref name="onOutput"/>.</summary>
    /// <exception cref="AzuriteException">There is no such program.</exception>
    public static ChildProcess Start(string command, IEnumerable<string> arguments, string folder, Action<string>? onOutput = null)
    {
        var start = new ProcessStartInfo(command, arguments)
        {
            WorkingDirectory = folder,
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            CreateNoWindow = true,
        };
        try
        {
            return new(Process.Start(start)!, onOutput);
        }
        catch (Win32Exception exception)
        {
            throw Errors.ProgramNotStarted(command, exception);
        }
    }

    public void CloseInput() => _process.StandardInput.Close();

    public async ValueTask DisposeAsync()
    {
        _process.Kill(entireProcessTree: true);
        await Ended;
        _process.Dispose();
    }

    private async Task<int> FollowAsync(Action<string>? onOutput)
    {
        await Task.WhenAll(FollowAsync(_process.StandardOutput, onOutput), FollowAsync(_process.StandardError, onLine: null));
        await _process.WaitForExitAsync();
        return _process.ExitCode;
    }

    private async Task FollowAsync(StreamReader reader, Action<string>? onLine)
    {
        while (await reader.ReadLineAsync() is { } line)
        {
            lock (_tail)
            {
                if (_tail.Count == TailLines)
                {
                    _tail.Dequeue();
                }

                _tail.Enqueue(line);
            }

            onLine?.Invoke(line);
        }
    }
}
