using System.Buffers;
using System.Collections.Concurrent;
using System.Net;
using System.Net.Sockets;
using System.Text;
using Azure.Storage.Blobs;

namespace CloudShards.Tests;

/// <summary>What a server does wrong.</summary>
public enum Fault
{
    None,

    /// <summary>Half of the body, then the connection ends.</summary>
    Truncated,

    /// <summary>Half of the body, then nothing.</summary>
    Stalled,

    /// <summary>A bit of the body is another.</summary>
    Flipped,

    /// <summary>The headers of what was asked for, and the bytes of another range.</summary>
    Shifted,

    /// <summary>Status 503.</summary>
    Busy,

    /// <summary>Status 500.</summary>
    Broken,

    /// <summary>Another range, and it says so.</summary>
    WrongRange,

    /// <summary>Status 200 and the whole blob.</summary>
    Whole,

    /// <summary>Fewer bytes than were asked for, and it says so.</summary>
    TooShort,

    /// <summary>The connection ends before any answer.</summary>
    Dropped,
}

/// <summary>A blob whose bytes repeat a pattern.</summary>
public sealed record PatternBlob(byte[] Pattern, long Length);

/// <summary>An HTTP server on a socket that does, for each request for a range, what it is told.</summary>
internal sealed class FaultyServer : IAsyncDisposable
{
    private readonly TcpListener _listener = new(IPAddress.Loopback, 0);
    private readonly CancellationTokenSource _stop = new();
    private readonly Func<string, PatternBlob?> _find;
    private readonly Func<Fault> _next;
    private readonly Task _accepting;
    private readonly ConcurrentBag<Task> _answering = [];

    /// <summary>Starts a server.</summary>
    /// <param name="find">Its blobs.</param>
    /// <param name="next">What to do wrong with the next request for a range.</param>
    public FaultyServer(Func<string, PatternBlob?> find, Func<Fault> next)
    {
        (_find, _next) = (find, next);
        _listener.Start();
        _accepting = AcceptAsync();
    }

    /// <summary>The ranges that were asked for, as in <c>name 0-99</c>.</summary>
    public ConcurrentQueue<string> Requests { get; } = [];

    /// <summary>A container on this server, whose client gives up on silence soon and retries at once.</summary>
    public BlobContainerClient Container(int retries, TimeSpan timeout)
    {
        var options = new BlobClientOptions();
        options.Retry.MaxRetries = retries;
        options.Retry.Delay = options.Retry.MaxDelay = TimeSpan.FromMilliseconds(1);
        options.Retry.NetworkTimeout = timeout;
        return new(new Uri($"http://{_listener.LocalEndpoint}/account/shards"), options);
    }

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        await _accepting;
        _listener.Dispose();
        await Task.WhenAll(_answering);
        _stop.Dispose();
    }

    private async Task AcceptAsync()
    {
        try
        {
            while (true)
            {
                _answering.Add(AnswerAsync(await _listener.AcceptSocketAsync(_stop.Token)));
            }
        }
        catch (OperationCanceledException)
        {
        }
    }

    private async Task AnswerAsync(Socket socket)
    {
        using (socket)
        {
            try
            {
                await using var stream = new NetworkStream(socket);
                while (await ReadHeadAsync(stream) is { Length: > 0 } head && await AnswerAsync(stream, head))
                {
                }
            }
            catch (Exception e) when (e is OperationCanceledException or IOException)
            {
            }
        }
    }

    private async Task<string> ReadHeadAsync(NetworkStream stream)
    {
        var head = new byte[8_192];
        for (var read = 0; read < head.Length;)
        {
            var more = await stream.ReadAsync(head.AsMemory(read), _stop.Token);
            read += more;
            if (more == 0 || head.AsSpan(0, read).EndsWith("\r\n\r\n"u8))
            {
                return more == 0 ? "" : Encoding.ASCII.GetString(head, 0, read);
            }
        }

        return "";
    }

    // False where the connection must end.
    private async Task<bool> AnswerAsync(NetworkStream stream, string head)
    {
        var name = Uri.UnescapeDataString(head.Split(' ')[1]["/account/shards/".Length..].Split('?')[0]);
        var range = head.Split("\r\n").FirstOrDefault(line => line.StartsWith("x-ms-range: bytes=", StringComparison.OrdinalIgnoreCase));
        if (_find(name) is not { } blob)
        {
            await stream.WriteAsync("HTTP/1.1 404 Not Found\r\nx-ms-error-code: BlobNotFound\r\nContent-Length: 0\r\n\r\n"u8.ToArray(), _stop.Token);
            return true;
        }

        if (range is null)
        {
            await WriteAsync(stream, "200 OK", blob, 0, blob.Length, blob.Length, null);
            return true;
        }

        var bounds = range["x-ms-range: bytes=".Length..].Split('-').Select(long.Parse).ToArray();
        Requests.Enqueue($"{name} {bounds[0]}-{bounds[1]}");
        return await AnswerAsync(stream, blob, bounds[0], bounds[1] + 1 - bounds[0], _next());
    }

    private async Task<bool> AnswerAsync(NetworkStream stream, PatternBlob blob, long from, long length, Fault fault)
    {
        const string Partial = "206 Partial Content";
        string Range(long first, long count) => $"bytes {first}-{first + count - 1}/{blob.Length}";
        switch (fault)
        {
            case Fault.Busy or Fault.Broken:
                var status = fault == Fault.Busy ? "503 Server Busy\r\nx-ms-error-code: ServerBusy" : "500 Internal\r\nx-ms-error-code: InternalError";
                await stream.WriteAsync(Encoding.ASCII.GetBytes($"HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n"), _stop.Token);
                return true;
            case Fault.Dropped:
                return false;
            case Fault.Truncated or Fault.Stalled:
                await WriteAsync(stream, Partial, blob, from, length / 2, length, Range(from, length));
                await Task.Delay(fault == Fault.Stalled ? Timeout.InfiniteTimeSpan : TimeSpan.Zero, _stop.Token);
                return false;
            case Fault.Flipped:
                await WriteAsync(stream, Partial, blob, from, length, length, Range(from, length), flip: (length / 3) + 1);
                return true;
            case Fault.Shifted:
                await WriteAsync(stream, Partial, blob, from + 1, length, length, Range(from, length));
                return true;
            case Fault.WrongRange:
                await WriteAsync(stream, Partial, blob, from + 1, length, length, Range(from + 1, length));
                return true;
            case Fault.Whole:
                await WriteAsync(stream, "200 OK", blob, 0, blob.Length, blob.Length, null);
                return true;
            case Fault.TooShort:
                await WriteAsync(stream, Partial, blob, from, length - 1, length - 1, Range(from, length - 1));
                return true;
            default:
                await WriteAsync(stream, Partial, blob, from, length, length, Range(from, length));
                return true;
        }
    }

    private async Task WriteAsync(
        NetworkStream stream, string status, PatternBlob blob, long from, long sent, long announced, string? range, long flip = -1)
    {
        var rangeLine = range is null ? "" : $"Content-Range: {range}\r\n";
        await stream.WriteAsync(
            Encoding.ASCII.GetBytes($"HTTP/1.1 {status}\r\nETag: \"0x1\"\r\nContent-Length: {announced}\r\n{rangeLine}\r\n"), _stop.Token);
        var piece = ArrayPool<byte>.Shared.Rent(64 << 10);
        try
        {
            for (var done = 0L; done < sent;)
            {
                var start = (int)((from + done) % blob.Pattern.Length);
                var length = (int)Math.Min(Math.Min(piece.Length, sent - done), blob.Pattern.Length - start);
                blob.Pattern.AsSpan(start, length).CopyTo(piece);
                if (flip >= done && flip < done + length)
                {
                    piece[flip - done] ^= 4;
                }

                await stream.WriteAsync(piece.AsMemory(0, length), _stop.Token);
                done += length;
            }
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(piece);
        }
    }
}
