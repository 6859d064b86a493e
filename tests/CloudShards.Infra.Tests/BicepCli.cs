using System.Diagnostics;
using System.Globalization;
using System.Reflection;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace CloudShards.Infra.Tests;

/// <summary>
/// The Bicep CLI as one process that answers many questions (JSON-RPC, framed as in the language server protocol): a process for each would
/// take seconds. Questions are asked one after the other.
/// </summary>
internal sealed class BicepCli : IAsyncDisposable
{
    private readonly Process _process;
    private readonly SemaphoreSlim _turn = new(1, 1);
    private int _questions;

    private BicepCli(Process process) => _process = process;

    /// <summary>Starts the CLI that the restore has brought.</summary>
    /// <param name="environment">Variables that parameter files read.</param>
    public static BicepCli Start(IEnumerable<KeyValuePair<string, string>> environment)
    {
        var path = typeof(BicepCli).Assembly.GetCustomAttributes<AssemblyMetadataAttribute>().Single(data => data.Key == "BicepCli").Value!;
        if (!OperatingSystem.IsWindows())
        {
            // In the package it is executable for its owner alone.
            var mode = File.GetUnixFileMode(path);
            if (!mode.HasFlag(UnixFileMode.UserExecute))
            {
                File.SetUnixFileMode(path, mode | UnixFileMode.UserExecute);
            }
        }

        var start = new ProcessStartInfo(path, ["jsonrpc", "--stdio"]) { RedirectStandardInput = true, RedirectStandardOutput = true };

        // Measured: half of the time. Methods are compiled for good at once, instead of being watched first.
        start.Environment["DOTNET_TieredCompilation"] = "0";
        foreach (var (name, value) in environment)
        {
            start.Environment[name] = value;
        }

        return new(Process.Start(start)!);
    }

    /// <summary>Asks for one thing, and returns what the CLI answers.</summary>
    /// <exception cref="InvalidOperationException">It answers by an error.</exception>
    public async Task<JsonElement> AskAsync(string method, JsonObject parameters, CancellationToken cancellationToken)
    {
        await _turn.WaitAsync(cancellationToken);
        try
        {
            var question = new JsonObject { ["jsonrpc"] = "2.0", ["id"] = ++_questions, ["method"] = method, ["params"] = parameters };
            var body = JsonSerializer.SerializeToUtf8Bytes(question);
            var input = _process.StandardInput.BaseStream;

            // A question that is half asked cannot be taken back: from here on nothing is cancelled.
            await input.WriteAsync(System.Text.Encoding.ASCII.GetBytes($"Content-Length: {body.Length}\r\n\r\n"), CancellationToken.None);
            await input.WriteAsync(body, CancellationToken.None);
            await input.FlushAsync(CancellationToken.None);
            using var answer = JsonDocument.Parse(await ReadAsync(_process.StandardOutput.BaseStream));
            return answer.RootElement.TryGetProperty("result", out var result)
                ? result.Clone()
                : throw new InvalidOperationException($"{method}: {answer.RootElement.GetProperty("error")}");
        }
        finally
        {
            _turn.Release();
        }
    }

    public async ValueTask DisposeAsync()
    {
        _process.StandardInput.Close();
        await _process.WaitForExitAsync();
        _process.Dispose();
        _turn.Dispose();
    }

    private static async Task<byte[]> ReadAsync(Stream output)
    {
        var length = 0;
        while (await ReadLineAsync(output) is { Length: > 0 } header)
        {
            if (header.StartsWith("Content-Length:", StringComparison.OrdinalIgnoreCase))
            {
                length = int.Parse(header["Content-Length:".Length..], CultureInfo.InvariantCulture);
            }
        }

        var body = new byte[length];
        await output.ReadExactlyAsync(body);
        return body;
    }

    private static async Task<string> ReadLineAsync(Stream output)
    {
        var line = new List<char>();
        var one = new byte[1];
        while (true)
        {
            await output.ReadExactlyAsync(one);
            if (one[0] == '\n')
            {
                return new string([.. line]).TrimEnd('\r');
            }

            line.Add((char)one[0]);
        }
    }
}
