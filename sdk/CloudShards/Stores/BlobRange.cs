using System.Buffers;
using System.Net.Http.Headers;
using System.Runtime.InteropServices;
using Azure;
using Azure.Storage.Blobs.Models;
using Azure.Storage.Blobs.Specialized;
using CloudShards.Formats;

namespace CloudShards;

/// <summary>
/// Reads of a range of a blob into the caller's memory. No server is trusted: status, <c>Content-Range</c>, version and length of every
/// answer must be those that were asked for, since the client library checks none of them and some servers answer a range with the whole
/// blob. An answer that breaks off is asked for again from its last byte on.
/// </summary>
internal static class BlobRange
{
    // The library's streams read into arrays alone: for native memory they rent one of the window's length and copy. So the window stays in the
    // processor's cache; that makes reading by it faster than reading straight into large memory.
    private const int WindowBytes = 128 << 10;

    // Of one range. The first is mended at once, the others after a pause that doubles.
    private const int MaxBreaks = 6;
    private static readonly TimeSpan FirstPause = TimeSpan.FromMilliseconds(100);

    /// <summary>Reads exactly <paramref name="destination"/>'s length of bytes, from byte <paramref name="offset"/> on.</summary>
    /// <param name="blob">The blob.</param>
    /// <param name="offset">The first byte.</param>
    /// <param name="destination">Where the bytes go; where it is empty, nothing is asked.</param>
    /// <param name="ifMatch">The version that the blob must still have, or null for any.</param>
    /// <param name="cancellationToken">Ends the read.</param>
    /// <exception cref="InvalidDataException">The blob, or the server's answer, is shorter or other than what was asked for.</exception>
    /// <exception cref="IOException">The answer broke off again and again.</exception>
    /// <exception cref="RequestFailedException">The service refused: 404 no such blob, 412 the blob has another version.</exception>
    public static ValueTask ReadAsync(BlobBaseClient blob, long offset, Memory<byte> destination, ETag? ifMatch, CancellationToken cancellationToken)
    {
        var window = MemoryMarshal.TryGetArray<byte>(destination, out _) ? destination.Length : WindowBytes;
        return ReadAsync(
            blob,
            new(offset, destination.Length),
            filled => destination.Slice(filled, Math.Min(destination.Length - filled, window)),
            static _ => { },
            ifMatch,
            cancellationToken);
    }

    /// <summary>As <see cref="ReadAsync(BlobBaseClient, long, Memory{byte}, ETag?, CancellationToken)"/>, handing the bytes over in pieces, in order.</summary>
    public static async ValueTask ReadAsync(
        BlobBaseClient blob, long offset, int length, Action<ReadOnlySpan<byte>> take, CancellationToken cancellationToken)
    {
        var buffer = ArrayPool<byte>.Shared.Rent(Math.Min(length, WindowBytes));
        try
        {
            await ReadAsync(
                blob,
                new(offset, length),
                filled => buffer.AsMemory(0, Math.Min(buffer.Length, length - filled)),
                piece => take(piece.Span),
                null,
                cancellationToken).ConfigureAwait(false);
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
    }

    private static async ValueTask ReadAsync(
        BlobBaseClient blob,
        ByteRange range,
        Func<int, Memory<byte>> windowAt,
        Action<ReadOnlyMemory<byte>> arrived,
        ETag? ifMatch,
        CancellationToken cancellationToken)
    {
        var filled = 0;
        for (var breaks = 1; filled < range.Length; breaks++)
        {
            var rest = new ByteRange(range.Offset + filled, range.Length - filled);
            using var library = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
            using var answer = await AskAsync(blob, rest, ifMatch, library.Token).ConfigureAwait(false);

            // From here on the library uses its token for one thing alone: to ask again when the body breaks off, and then it checks nothing
            // of what it gets. Cancelled, it leaves that to this loop.
            await library.CancelAsync().ConfigureAwait(false);
            Exception? broken = null;
            while (filled < range.Length && broken is null)
            {
                var window = windowAt(filled);
                (var read, broken) = await TryReadAsync(answer.Content, window, cancellationToken).ConfigureAwait(false);
                if (broken is null)
                {
                    filled += read > 0 ? read : throw Errors.BodyTooShort(blob.Name, rest, filled);
                    arrived(window[..read]);
                }
            }

            if (broken is null)
            {
                (var more, broken) = await TryReadAsync(answer.Content, new byte[1], cancellationToken).ConfigureAwait(false);
                if (more > 0)
                {
                    throw Errors.BodyTooLong(blob.Name, rest);
                }
            }

            if (broken is not null)
            {
                await Task.Delay(PauseAfter(blob.Name, rest, breaks, broken), cancellationToken).ConfigureAwait(false);
            }
        }
    }

    // What takes the bytes may fail of the same exceptions.
    private static async ValueTask<(int Read, Exception? Broken)> TryReadAsync(Stream body, Memory<byte> window, CancellationToken cancellationToken)
    {
        try
        {
            return (await body.ReadAsync(window, cancellationToken).ConfigureAwait(false), null);
        }
        catch (Exception e) when (IsBreak(e, cancellationToken))
        {
            return (0, e);
        }
    }

    /// <summary>As <see cref="ReadAsync(BlobBaseClient, long, Memory{byte}, ETag?, CancellationToken)"/>, blocking on the socket.</summary>
    public static void Read(BlobBaseClient blob, long offset, Span<byte> destination, ETag? ifMatch, CancellationToken cancellationToken)
    {
        var filled = 0;
        for (var breaks = 1; filled < destination.Length; breaks++)
        {
            var rest = new ByteRange(offset + filled, destination.Length - filled);
            using var library = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
            using var answer = Ask(blob, rest, ifMatch, library.Token);
            library.Cancel();
            try
            {
                while (filled < destination.Length)
                {
                    cancellationToken.ThrowIfCancellationRequested();
                    var free = destination[filled..];
                    var read = answer.Content.Read(free[..Math.Min(free.Length, WindowBytes)]);
                    filled += read > 0 ? read : throw Errors.BodyTooShort(blob.Name, rest, filled);
                }

                if (answer.Content.ReadByte() >= 0)
                {
                    throw Errors.BodyTooLong(blob.Name, rest);
                }
            }
            catch (Exception e) when (IsBreak(e, cancellationToken))
            {
                cancellationToken.WaitHandle.WaitOne(PauseAfter(blob.Name, rest, breaks, e));
            }
        }
    }

    /// <summary>An ETag as it stands in a header: the client library strips its quotes in some places and adds them in none.</summary>
    public static ETag Quoted(ETag version) => new(version.ToString("H"));

    private static async ValueTask<BlobDownloadStreamingResult> AskAsync(
        BlobBaseClient blob, ByteRange range, ETag? ifMatch, CancellationToken cancellationToken)
    {
        try
        {
            return Checked(await blob.DownloadStreamingAsync(Asked(range, ifMatch), cancellationToken).ConfigureAwait(false), blob.Name, range, ifMatch);
        }
        catch (Exception e) when (AsRefusal(e, blob.Name, range) is { } refusal)
        {
            throw refusal;
        }
    }

    private static BlobDownloadStreamingResult Ask(BlobBaseClient blob, ByteRange range, ETag? ifMatch, CancellationToken cancellationToken)
    {
        try
        {
            return Checked(blob.DownloadStreaming(Asked(range, ifMatch), cancellationToken), blob.Name, range, ifMatch);
        }
        catch (Exception e) when (AsRefusal(e, blob.Name, range) is { } refusal)
        {
            throw refusal;
        }
    }

    // What the library makes of several broken connections is a list of exceptions.
    private static Exception? AsRefusal(Exception e, string blob, ByteRange range) => e switch
    {
        RequestFailedException { Status: 416 } => Errors.RangePastEnd(blob, range, e),
        AggregateException => Errors.NoAnswer(blob, range, e),
        _ => null,
    };

    private static BlobDownloadOptions Asked(ByteRange range, ETag? ifMatch) => new()
    {
        Range = new HttpRange(range.Offset, range.Length),
        Conditions = ifMatch is { } version ? new BlobRequestConditions { IfMatch = Quoted(version) } : null,
    };

    private static bool IsBreak(Exception e, CancellationToken cancellationToken) =>
        !cancellationToken.IsCancellationRequested && e is IOException or OperationCanceledException;

    private static TimeSpan PauseAfter(string blob, ByteRange rest, int breaks, Exception e)
    {
        ReadTelemetry.Resumed();
        return breaks <= MaxBreaks ? breaks == 1 ? TimeSpan.Zero : FirstPause * (1 << (breaks - 2)) : throw Errors.AnswerBroke(blob, rest, breaks, e);
    }

    private static BlobDownloadStreamingResult Checked(Response<BlobDownloadStreamingResult> answer, string blob, ByteRange range, ETag? ifMatch)
    {
        if (Refusal(answer.GetRawResponse(), blob, range, ifMatch) is not { } refusal)
        {
            return answer.Value;
        }

        answer.Value.Dispose();
        throw refusal;
    }

    private static InvalidDataException? Refusal(Response response, string blob, ByteRange range, ETag? ifMatch)
    {
        var headers = response.Headers;
        if (headers.ContentLengthLong is { } length && length != range.Length)
        {
            return Errors.WrongAnswer(blob, range, response);
        }

        // 200 means the whole blob: right only where the range is all of it, which the body's length then shows.
        var isAsked = response.Status switch
        {
            206 => headers.TryGetValue("Content-Range", out var text) && ContentRangeHeaderValue.TryParse(text, out var got)
                && got.Unit == "bytes" && got.From == range.Offset && got.To == range.End - 1,
            200 => range.Offset == 0,
            _ => false,
        };
        return !isAsked ? Errors.WrongAnswer(blob, range, response)
            : ifMatch is { } expected && headers.ETag is { } found && Quoted(found) != Quoted(expected) ? Errors.WrongVersion(blob, expected, found)
            : null;
    }
}
