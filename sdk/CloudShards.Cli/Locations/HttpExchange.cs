using CloudShards.Formats;

namespace CloudShards.Cli;

/// <summary>One request and its answer. Disposing it ends the request.</summary>
internal sealed class HttpExchange : IDisposable
{
    private readonly HttpClient _http;
    private readonly Uri _address;
    private readonly TimeSpan _stallTimeout;
    private readonly CancellationToken _cancelled;
    private readonly CancellationTokenSource _stalled;
    private readonly CancellationTokenSource _ended;

    /// <summary>Prepares a request.</summary>
    /// <param name="http">Sends it.</param>
    /// <param name="address">The file.</param>
    /// <param name="clock">The clock of the timeout.</param>
    /// <param name="stallTimeout">How long the server may be silent.</param>
    /// <param name="cancellationToken">Ends it.</param>
    public HttpExchange(HttpClient http, Uri address, TimeProvider clock, TimeSpan stallTimeout, CancellationToken cancellationToken)
    {
        (_http, _address, _stallTimeout, _cancelled) = (http, address, stallTimeout, cancellationToken);
        _stalled = new(stallTimeout, clock);
        _ended = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, _stalled.Token);
    }

    /// <summary>Asks for a range and returns once the answer's headers are there.</summary>
    /// <param name="range">The bytes, at least one.</param>
    /// <param name="version">The version to ask for.</param>
    /// <exception cref="CommandException">The server is silent.</exception>
    public async Task<HttpResponseMessage> SendAsync(ByteRange range, FileVersion version)
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, _address);
        request.Headers.Range = new(range.Offset, range.End - 1);
        if (version.ETag is { IsWeak: false } etag)
        {
            request.Headers.IfMatch.Add(etag);
        }

        return await UnlessStalledAsync(token => _http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, token));
    }

    /// <summary>Reads an answer's body, which must be of exactly the length that was asked for.</summary>
    /// <exception cref="CommandException">It is not, or the server is silent.</exception>
    public async Task ReadBodyAsync(HttpResponseMessage response, ByteRange range, Memory<byte> destination)
    {
        var body = await UnlessStalledAsync(response.Content.ReadAsStreamAsync);
        for (var filled = 0; filled < destination.Length;)
        {
            var rest = destination[filled..];
            var read = await UnlessStalledAsync(token => body.ReadAsync(rest, token).AsTask());
            filled += read > 0 ? read : throw Errors.WrongBody(Addresses.Display(_address), range);
        }

        if (await UnlessStalledAsync(token => body.ReadAsync(new byte[1], token).AsTask()) > 0)
        {
            throw Errors.WrongBody(Addresses.Display(_address), range);
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _ended.Dispose();
        _stalled.Dispose();
    }

    private async Task<T> UnlessStalledAsync<T>(Func<CancellationToken, Task<T>> step)
    {
        _stalled.CancelAfter(_stallTimeout);
        try
        {
            return await step(_ended.Token);
        }
        catch (OperationCanceledException e) when (_stalled.IsCancellationRequested && !_cancelled.IsCancellationRequested)
        {
            throw Errors.Stalled(Addresses.Display(_address), _stallTimeout, e);
        }
    }
}
