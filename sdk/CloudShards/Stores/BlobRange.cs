using System.Net.Http.Headers;
using System.Runtime.InteropServices;
using Azure;
using Azure.Storage.Blobs.Models;
using Azure.Storage.Blobs.Specialized;
using CloudShards.Formats;

namespace CloudShards;

/// <summary>
/// Reads of a range of a blob into the caller's memory, in one request. No server is trusted: status, <c>Content-Range</c> and the body's
/// length must be those of the range, for the client library checks none of them and some servers answer a range with the whole blob.
/// </summary>
internal static class BlobRange
{
    // The library's streams read into arrays alone. For native memory they rent one of the window's length and copy, so the window is small
    // enough to stay in the processor's cache.
    private const int NativeWindowBytes = 128 << 10;

    /// <summary>Reads exactly <paramref name="destination"/>'s length of bytes, from byte <paramref name="offset"/> on.</summary>
    /// <param name="blob">The blob.</param>
    /// <param name="offset">The first byte.</param>
    /// <param name="destination">Where the bytes go; where it is empty, nothing is asked.</param>
    /// <param name="ifMatch">The version that the blob must still have, or null for any.</param>
    /// <param name="cancellationToken">Ends the read.</param>
    /// <exception cref="InvalidDataException">The blob, or the server's answer, is shorter or other than what was asked for.</exception>
    /// <exception cref="RequestFailedException">The service refused: 404 no such blob, 412 the blob has another version.</exception>
    public static async ValueTask ReadAsync(
        BlobBaseClient blob, long offset, Memory<byte> destination, ETag? ifMatch, CancellationToken cancellationToken)
    {
        if (destination.IsEmpty)
        {
            return;
        }

        var range = new ByteRange(offset, destination.Length);
        Response<BlobDownloadStreamingResult> response;
        try
        {
            response = await blob.DownloadStreamingAsync(Ask(range, ifMatch), cancellationToken).ConfigureAwait(false);
        }
        catch (RequestFailedException e) when (e.Status == 416)
        {
            throw Errors.RangePastEnd(blob.Name, range, e);
        }

        using var result = response.Value;
        Check(response.GetRawResponse(), blob.Name, range, ifMatch);
        var window = MemoryMarshal.TryGetArray<byte>(destination, out _) ? destination.Length : NativeWindowBytes;
        for (var filled = 0; filled < destination.Length;)
        {
            var rest = destination[filled..];
            var read = await result.Content.ReadAsync(rest[..Math.Min(rest.Length, window)], cancellationToken).ConfigureAwait(false);
            filled += read > 0 ? read : throw Errors.BodyTooShort(blob.Name, range, filled);
        }

        if (await result.Content.ReadAsync(new byte[1], cancellationToken).ConfigureAwait(false) > 0)
        {
            throw Errors.BodyTooLong(blob.Name, range);
        }
    }

    /// <summary>As <see cref="ReadAsync"/>, blocking on the socket.</summary>
    public static void Read(BlobBaseClient blob, long offset, Span<byte> destination, ETag? ifMatch, CancellationToken cancellationToken)
    {
        if (destination.IsEmpty)
        {
            return;
        }

        var range = new ByteRange(offset, destination.Length);
        Response<BlobDownloadStreamingResult> response;
        try
        {
            response = blob.DownloadStreaming(Ask(range, ifMatch), cancellationToken);
        }
        catch (RequestFailedException e) when (e.Status == 416)
        {
            throw Errors.RangePastEnd(blob.Name, range, e);
        }

        using var result = response.Value;
        Check(response.GetRawResponse(), blob.Name, range, ifMatch);
        for (var filled = 0; filled < destination.Length;)
        {
            cancellationToken.ThrowIfCancellationRequested();
            var rest = destination[filled..];
            var read = result.Content.Read(rest[..Math.Min(rest.Length, NativeWindowBytes)]);
            filled += read > 0 ? read : throw Errors.BodyTooShort(blob.Name, range, filled);
        }

        if (result.Content.ReadByte() >= 0)
        {
            throw Errors.BodyTooLong(blob.Name, range);
        }
    }

    /// <summary>An ETag as it stands in a header: the client library strips its quotes in some places and adds them in none.</summary>
    public static ETag Quoted(ETag version) => new(version.ToString("H"));

    private static BlobDownloadOptions Ask(ByteRange range, ETag? ifMatch) => new()
    {
        Range = new HttpRange(range.Offset, range.Length),
        Conditions = ifMatch is { } version ? new BlobRequestConditions { IfMatch = Quoted(version) } : null,
    };

    private static void Check(Response response, string blob, ByteRange range, ETag? ifMatch)
    {
        var headers = response.Headers;
        if (headers.ContentLengthLong is { } length && length != range.Length)
        {
            throw Errors.WrongAnswer(blob, range, response);
        }

        // 200 means the whole blob: right only where the range is all of it, which the body's length then shows.
        var isAsked = response.Status switch
        {
            206 => headers.TryGetValue("Content-Range", out var text) && ContentRangeHeaderValue.TryParse(text, out var got)
                && got.Unit == "bytes" && got.From == range.Offset && got.To == range.End - 1,
            200 => range.Offset == 0,
            _ => false,
        };
        if (!isAsked)
        {
            throw Errors.WrongAnswer(blob, range, response);
        }

        if (ifMatch is { } expected && headers.ETag is { } found && Quoted(found) != Quoted(expected))
        {
            throw Errors.WrongVersion(blob, expected, found);
        }
    }
}
