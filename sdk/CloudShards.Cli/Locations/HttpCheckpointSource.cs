using System.Net;
using CloudShards.Formats;
using CloudShards.Sharding;

namespace CloudShards.Cli;

/// <summary>
/// A file on any HTTP server, read by ranges. No server is trusted: status, <c>Content-Range</c>, the file's length and its version are checked
/// on every answer, and a strong ETag is sent along as <c>If-Match</c>.
/// </summary>
internal sealed class HttpCheckpointSource : ICheckpointSource
{
    private static readonly TimeSpan StallTimeout = TimeSpan.FromSeconds(100);

    private readonly HttpClient _http;
    private readonly Uri _address;
    private readonly TimeProvider _clock;
    private readonly FileVersion _version;

    private HttpCheckpointSource(HttpClient http, Uri address, TimeProvider clock, long length, FileVersion version) =>
        (_http, _address, _clock, Length, _version) = (http, address, clock, length, version);

    /// <inheritdoc/>
    public string Path => Addresses.Display(_address);

    /// <inheritdoc/>
    public long Length { get; }

    /// <inheritdoc/>
    public string ETag => _version.ETag?.ToString() ?? "";

    /// <inheritdoc/>
    public DateTimeOffset UploadedAt => _version.LastModified ?? default;

    /// <summary>Opens a file.</summary>
    /// <returns>The file; null where the server has none.</returns>
    /// <exception cref="CommandException">The server does not answer ranges as it must, or refuses.</exception>
    public static async Task<HttpCheckpointSource?> TryOpenAsync(HttpClient http, Uri address, TimeProvider clock, CancellationToken cancellationToken)
    {
        // Not HEAD: addresses that are signed for reading are refused to it.
        using var exchange = new HttpExchange(http, address, clock, StallTimeout, cancellationToken);
        using var response = await exchange.SendAsync(new ByteRange(0, 1), FileVersion.Any);
        var range = response.Content.Headers.ContentRange;
        long? length = response.StatusCode switch
        {
            HttpStatusCode.PartialContent when range is { Unit: "bytes", From: 0, Length: { } whole } => whole,

            // An empty file has no first byte.
            HttpStatusCode.RequestedRangeNotSatisfiable when range is { Length: 0 } => 0,
            HttpStatusCode.OK when response.Content.Headers.ContentLength == 0 => 0,
            HttpStatusCode.NotFound or HttpStatusCode.Gone => null,
            _ => throw Errors.NotRanged(Addresses.Display(address), response),
        };
        return length is { } bytes ? new(http, address, clock, bytes, FileVersion.Of(response)) : null;
    }

    /// <inheritdoc/>
    public async ValueTask ReadAsync(long offset, Memory<byte> destination, CancellationToken cancellationToken)
    {
        if (destination.IsEmpty)
        {
            return;
        }

        var range = new ByteRange(offset, destination.Length);
        using var exchange = new HttpExchange(_http, _address, _clock, StallTimeout, cancellationToken);
        using var response = await exchange.SendAsync(range, _version);
        Check(response, range);
        await exchange.ReadBodyAsync(response, range, destination);
    }

    /// <inheritdoc/>
    public async ValueTask EnsureUnchangedAsync(CancellationToken cancellationToken)
    {
        var now = await TryOpenAsync(_http, _address, _clock, cancellationToken);
        if (now is null || now.Length != Length || now._version != _version)
        {
            throw Errors.Changed(Path);
        }
    }

    private void Check(HttpResponseMessage response, ByteRange range)
    {
        var isOther = response.IsSuccessStatusCode && !_version.Matches(response);
        if (isOther || response.StatusCode is HttpStatusCode.PreconditionFailed or HttpStatusCode.NotFound or HttpStatusCode.Gone)
        {
            throw Errors.Changed(Path);
        }

        var isAsked = response.StatusCode == HttpStatusCode.PartialContent
            && response.Content.Headers is { ContentRange: { Unit: "bytes" } got, ContentEncoding.Count: 0 }
            && got.From == range.Offset && got.To == range.End - 1;
        if (!isAsked)
        {
            throw Errors.NotRanged(Path, response);
        }

        if (response.Content.Headers.ContentRange!.Length is { } length && length != Length)
        {
            throw Errors.Changed(Path);
        }
    }
}
