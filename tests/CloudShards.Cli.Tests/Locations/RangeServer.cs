using System.Collections.Concurrent;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text;

namespace CloudShards.Cli.Tests;

/// <summary>A request as it came.</summary>
/// <param name="Target">Path and query.</param>
/// <param name="Headers">The headers, by name.</param>
internal sealed record ServerRequest(string Target, IReadOnlyDictionary<string, string> Headers)
{
    /// <summary>The path alone.</summary>
    public string Path => Target.Split('?')[0];

    /// <summary>The first and last byte asked for.</summary>
    public (int First, int Last) Range
    {
        get
        {
            var bounds = Headers["Range"]["bytes=".Length..].Split('-');
            return (int.Parse(bounds[0], CultureInfo.InvariantCulture), int.Parse(bounds[1], CultureInfo.InvariantCulture));
        }
    }
}

/// <summary>An answer to send.</summary>
/// <param name="Status">As in <c>206</c>.</param>
/// <param name="Headers">Headers beside <c>Content-Length</c>, which is the body's unless it is among them.</param>
/// <param name="Body">The body.</param>
internal sealed record ServerAnswer(int Status, IReadOnlyList<string> Headers, ReadOnlyMemory<byte> Body)
{
    /// <summary>Nothing, for ever.</summary>
    public static ServerAnswer Silence { get; } = new(0, [], default);
}

/// <summary>
/// An HTTP server of a few files on 127.0.0.1 that answers ranges and names versions as servers should, unless a test says how it should not.
/// It speaks only as much HTTP as that takes, so that any answer, however wrong, can be given.
/// </summary>
internal sealed class RangeServer : IAsyncDisposable
{
    private readonly TcpListener _listener = new(IPAddress.Loopback, 0);
    private readonly CancellationTokenSource _stop = new();
    private readonly ConcurrentQueue<ServerRequest> _requests = [];
    private readonly Task _running;
    private readonly EndPoint _address;
    private long _bodyBytes;

    public RangeServer()
    {
        Answer = Serve;
        _listener.Start();
        _address = _listener.LocalEndpoint;
        _running = RunAsync();
    }

    /// <summary>The files, by path.</summary>
    public ConcurrentDictionary<string, byte[]> Files { get; } = [];

    /// <summary>The version of all files.</summary>
    public string? ETag { get; set; } = "\"1\"";

    /// <summary>What to answer.</summary>
    public Func<ServerRequest, ServerAnswer> Answer { get; set; }

    /// <summary>What was asked so far.</summary>
    public IReadOnlyCollection<ServerRequest> Requests => _requests;

    /// <summary>Bytes of all bodies that were sent.</summary>
    public long BodyBytes => Interlocked.Read(ref _bodyBytes);

    /// <summary>The address of a file.</summary>
    public Uri Address(string pathAndQuery) => new($"http://{_address}{pathAndQuery}");

    /// <summary>What a good server answers.</summary>
    public ServerAnswer Serve(ServerRequest request)
    {
        string[] version = ETag is null ? [] : [$"ETag: {ETag}"];
        if (!Files.TryGetValue(request.Path, out var file))
        {
            return new(404, [], default);
        }

        if (request.Headers.TryGetValue("If-Match", out var expected) && expected != ETag)
        {
            return new(412, version, default);
        }

        var (first, last) = request.Range;
        last = Math.Min(last, file.Length - 1);
        return first > last
            ? new(416, [.. version, $"Content-Range: bytes */{file.Length}"], default)
            : new(206, [.. version, $"Content-Range: bytes {first}-{last}/{file.Length}"], file.AsMemory(first..(last + 1)));
    }

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        _listener.Dispose();
        await _running;
        _stop.Dispose();
    }

    private async Task RunAsync()
    {
        var connections = new List<Task>();
        try
        {
            while (true)
            {
                connections.Add(ConverseAsync(await _listener.AcceptTcpClientAsync(_stop.Token)));
            }
        }
        catch (OperationCanceledException)
        {
            await Task.WhenAll(connections);
        }
    }

    private async Task ConverseAsync(TcpClient client)
    {
        using var connection = client;
        try
        {
            await using var stream = connection.GetStream();
            using var reader = new StreamReader(stream, Encoding.Latin1);
            while (await ReadAsync(reader) is { } request)
            {
                _requests.Enqueue(request);
                var answer = Answer(request);
                if (answer == ServerAnswer.Silence)
                {
                    await Task.Delay(Timeout.Infinite, _stop.Token);
                }

                await stream.WriteAsync(Head(answer), _stop.Token);
                await stream.WriteAsync(answer.Body, _stop.Token);
                Interlocked.Add(ref _bodyBytes, answer.Body.Length);
                if (answer.Headers.Any(header => header.StartsWith("Content-Length", StringComparison.Ordinal)))
                {
                    return;
                }
            }
        }
        catch (Exception e) when (e is IOException or OperationCanceledException)
        {
            // The client has gone, or the test is over.
        }
    }

    private async Task<ServerRequest?> ReadAsync(StreamReader reader)
    {
        if (await reader.ReadLineAsync(_stop.Token) is not { Length: > 0 } first)
        {
            return null;
        }

        var headers = new Dictionary<string, string>(StringComparer.OrdinalIgnoreCase);
        while (await reader.ReadLineAsync(_stop.Token) is { Length: > 0 } line)
        {
            var colon = line.IndexOf(':', StringComparison.Ordinal);
            headers[line[..colon]] = line[(colon + 1)..].Trim();
        }

        return new(first.Split(' ')[1], headers);
    }

    private static byte[] Head(ServerAnswer answer)
    {
        var length = answer.Headers.Any(header => header.StartsWith("Content-Length", StringComparison.Ordinal))
            ? ""
            : string.Create(CultureInfo.InvariantCulture, $"Content-Length: {answer.Body.Length}\r\n");
        var headers = string.Concat(answer.Headers.Select(header => $"{header}\r\n"));
        return Encoding.Latin1.GetBytes(string.Create(CultureInfo.InvariantCulture, $"HTTP/1.1 {answer.Status} Said\r\n{headers}{length}\r\n"));
    }
}
