using System.Net;
using Azure;
using Azure.Storage.Blobs.Specialized;

namespace CloudShards.Tests;

public sealed class UntrustedServerTests
{
    private static readonly byte[] Blob = [.. Enumerable.Range(0, 100).Select(i => (byte)i)];

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public static TheoryData<string, HttpResponseMessage> WrongAnswers => new()
    {
        { "200 with the whole blob", ScriptedServer.Answer(HttpStatusCode.OK, Blob) },
        { "200 with as many bytes as were asked for", ScriptedServer.Answer(HttpStatusCode.OK, Blob[..10]) },
        { "206 without Content-Range", ScriptedServer.Answer(HttpStatusCode.PartialContent, Blob[20..30]) },
        { "206 with the whole blob", ScriptedServer.Answer(HttpStatusCode.PartialContent, Blob, "bytes 0-99/100") },
        { "another start", ScriptedServer.Answer(HttpStatusCode.PartialContent, Blob[..10], "bytes 0-9/100") },
        { "another end", ScriptedServer.Answer(HttpStatusCode.PartialContent, Blob[20..25], "bytes 20-24/100") },
        { "another unit", ScriptedServer.Answer(HttpStatusCode.PartialContent, Blob[20..30], "items 20-29/100") },
        { "no range at all", ScriptedServer.Answer(HttpStatusCode.PartialContent, Blob[20..30], "bytes */100") },
        { "a short body", ScriptedServer.Answer(HttpStatusCode.PartialContent, Blob[20..29], "bytes 20-29/100") },
        { "a short body of unknown length", ScriptedServer.Answer(HttpStatusCode.PartialContent, new MemoryStream(Blob, 20, 9), "bytes 20-29/100") },
        { "an empty body", ScriptedServer.Answer(HttpStatusCode.PartialContent, [], "bytes 20-29/100") },
        { "a long body", ScriptedServer.Answer(HttpStatusCode.PartialContent, Blob[20..31], "bytes 20-29/100") },
        { "a long body of unknown length", ScriptedServer.Answer(HttpStatusCode.PartialContent, new MemoryStream(Blob, 20, 11), "bytes 20-29/100") },
        { "416", ScriptedServer.Refusal(HttpStatusCode.RequestedRangeNotSatisfiable, "InvalidRange") },
    };

    [Theory(DisableDiscoveryEnumeration = true)]
    [MemberData(nameof(WrongAnswers))]
    public async Task AWrongAnswerIsRefused(string what, HttpResponseMessage answer)
    {
        var server = new ScriptedServer(_ => answer);
        var store = new BlobShardStore(server.Container());

        var refused = await Assert.ThrowsAsync<InvalidDataException>(async () => await store.ReadAsync("a", 20, new byte[10], Token));

        Assert.Contains("`a`", refused.Message, StringComparison.Ordinal);
        Assert.Contains("20..30", refused.Message, StringComparison.Ordinal);
        Assert.True(server.Requests.Count == 1, what);
    }

    [Theory(DisableDiscoveryEnumeration = true)]
    [MemberData(nameof(WrongAnswers))]
    public void AWrongAnswerIsRefusedWhenBlocking(string what, HttpResponseMessage answer)
    {
        var server = new ScriptedServer(_ => answer);
        var store = new BlobShardStore(server.Container());

        Assert.Throws<InvalidDataException>(() => store.Read("a", 20, new byte[10], Token));
        Assert.True(server.Requests.Count == 1, what);
    }

    public static TheoryData<string, HttpResponseMessage> RightAnswersForAll => new()
    {
        { "206", ScriptedServer.Answer(HttpStatusCode.PartialContent, Blob, "bytes 0-99/100") },
        { "206 of unknown total", ScriptedServer.Answer(HttpStatusCode.PartialContent, Blob, "bytes 0-99/*") },
        { "206 of unknown length", ScriptedServer.Answer(HttpStatusCode.PartialContent, new MemoryStream(Blob), "bytes 0-99/100") },
        { "200", ScriptedServer.Answer(HttpStatusCode.OK, Blob) },
        { "200 of unknown length", ScriptedServer.Answer(HttpStatusCode.OK, new MemoryStream(Blob)) },
    };

    [Theory(DisableDiscoveryEnumeration = true)]
    [MemberData(nameof(RightAnswersForAll))]
    public async Task AnAnswerWithAllThatWasAskedForIsTaken(string what, HttpResponseMessage answer)
    {
        var store = new BlobShardStore(new ScriptedServer(_ => answer).Container());
        var read = new byte[100];

        await store.ReadAsync("a", 0, read, Token);

        Assert.True(read.SequenceEqual(Blob), what);
    }

    [Fact]
    public async Task AnAnswerThatBreaksOffIsResumedWhereItBroke()
    {
        var server = new ScriptedServer(request =>
        {
            var (from, to) = ScriptedServer.RangeOf(request);
            var rest = Blob[(int)from..((int)to + 1)];
            return ScriptedServer.Answer(
                HttpStatusCode.PartialContent, from == 20 ? new BreakingStream(rest[..7]) : new MemoryStream(rest), $"bytes {from}-{to}/100");
        });
        var store = new BlobShardStore(server.Container(retries: 1));
        var read = new byte[50];

        await store.ReadAsync("a", 20, read, Token);

        Assert.Equal(Blob[20..70], read);
        Assert.Equal(["GET a bytes=20-69", "GET a bytes=27-69"], server.Requests);
    }

    [Fact]
    public async Task AResumedAnswerThatIgnoresItsRangeIsRefused()
    {
        var server = new ScriptedServer(request => ScriptedServer.RangeOf(request).From == 20
            ? ScriptedServer.Answer(HttpStatusCode.PartialContent, new BreakingStream(Blob[20..27]), "bytes 20-69/100")
            : ScriptedServer.Answer(HttpStatusCode.OK, Blob));
        var store = new BlobShardStore(server.Container(retries: 1));

        await Assert.ThrowsAsync<InvalidDataException>(async () => await store.ReadAsync("a", 20, new byte[50], Token));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task AResumedAnswerForAnotherRangeIsRefused(bool isBlocking)
    {
        var server = new ScriptedServer(request => ScriptedServer.RangeOf(request).From == 20
            ? ScriptedServer.Answer(HttpStatusCode.PartialContent, new BreakingStream(Blob[20..27]), "bytes 20-69/100")
            : ScriptedServer.Answer(HttpStatusCode.PartialContent, Blob[28..71], "bytes 28-70/100"));
        var store = new BlobShardStore(server.Container(retries: 3));

        await Assert.ThrowsAsync<InvalidDataException>(() => ReadAsync(store, 20, new byte[50], isBlocking));
        Assert.Equal(["GET a bytes=20-69", "GET a bytes=27-69"], server.Requests);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task AnswersThatBreakOffAgainAndAgainAreOneClearError(bool isBlocking)
    {
        var server = new ScriptedServer(request =>
        {
            var (from, to) = ScriptedServer.RangeOf(request);
            return ScriptedServer.Answer(HttpStatusCode.PartialContent, new BreakingStream(Blob[(int)from..((int)from + 2)]), $"bytes {from}-{to}/100");
        });
        var store = new BlobShardStore(server.Container(retries: 3));

        var broken = await Assert.ThrowsAsync<IOException>(() => ReadAsync(store, 20, new byte[50], isBlocking));

        Assert.Contains("`a` broke off 7 times, last one for the bytes 32..70", broken.Message, StringComparison.Ordinal);
        Assert.Equal(Enumerable.Range(0, 7).Select(i => $"GET a bytes={20 + (2 * i)}-69"), server.Requests);
    }

    [Fact]
    public async Task AServerThatDoesNotAnswerIsOneClearError()
    {
        var store = new BlobShardStore(new ScriptedServer(_ => throw new HttpRequestException("No route to host.")).Container(retries: 2));

        var silent = await Assert.ThrowsAsync<IOException>(async () => await store.ReadAsync("a", 20, new byte[50], Token));

        Assert.Contains("the bytes 20..70 of `a`", silent.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task PiecesComeInOrderAndEachOnceAlthoughTheAnswerBreaksOff()
    {
        var blob = new byte[300_000];
        new Random(1).NextBytes(blob);
        var store = new BlobShardStore(new ScriptedServer(request =>
        {
            var (from, to) = ScriptedServer.RangeOf(request);
            var rest = blob[(int)from..((int)to + 1)];
            return ScriptedServer.Answer(HttpStatusCode.PartialContent, from == 0 ? new BreakingStream(rest[..200_000]) : new MemoryStream(rest), $"bytes {from}-{to}/300000");
        }).Container());
        var (read, pieces) = (new MemoryStream(), 0);

        await store.ReadAsync(
            "a",
            0,
            blob.Length,
            piece =>
            {
                read.Write(piece);
                pieces++;
            },
            Token);

        Assert.Equal(blob, read.ToArray());
        Assert.True(pieces > 2);
    }

    [Fact]
    public async Task AnEmptyRangeAsksNothing()
    {
        var server = new ScriptedServer(_ => ScriptedServer.Refusal(HttpStatusCode.NotFound, "BlobNotFound"));
        var store = new BlobShardStore(server.Container());

        await store.ReadAsync("a", 0, Memory<byte>.Empty, Token);
        store.Read("a", 0, [], Token);

        Assert.Empty(server.Requests);
    }

    [Theory]
    [InlineData("BlobNotFound", true)]
    [InlineData(null, true)]
    [InlineData("ContainerNotFound", false)]
    public async Task AMissingBlobIsToldFromAMissingContainer(string? code, bool isBlob)
    {
        var store = new BlobShardStore(new ScriptedServer(_ => ScriptedServer.Refusal(HttpStatusCode.NotFound, code)).Container());
        if (isBlob)
        {
            await Assert.ThrowsAsync<ShardNotFoundException>(async () => await store.ReadAsync("a", 0, new byte[1], Token));
            Assert.Null(await store.TryReadDocumentAsync("a", 1, Token));
            Assert.Null(await store.TryFindAsync("a", Token));
        }
        else
        {
            await Assert.ThrowsAsync<RequestFailedException>(async () => await store.ReadAsync("a", 0, new byte[1], Token));
            await Assert.ThrowsAsync<RequestFailedException>(async () => await store.TryReadDocumentAsync("a", 1, Token));
            await Assert.ThrowsAsync<RequestFailedException>(async () => await store.TryFindAsync("a", Token));
        }
    }

    [Theory]
    [InlineData(HttpStatusCode.Conflict, "BlobAlreadyExists", true)]
    [InlineData(HttpStatusCode.PreconditionFailed, "ConditionNotMet", true)]
    [InlineData(HttpStatusCode.Conflict, "ContainerBeingDeleted", false)]
    [InlineData(HttpStatusCode.Forbidden, "AuthorizationPermissionMismatch", false)]
    public async Task ALostWriteIsToldFromARefusedOne(HttpStatusCode status, string code, bool isLost)
    {
        var store = new BlobShardStore(new ScriptedServer(_ => ScriptedServer.Refusal(status, code)).Container());
        if (isLost)
        {
            Assert.False(await store.TryCreateAsync("a", Blob, Token));
            Assert.False(await store.TryReplaceAsync("a", Blob, "\"0x1\"", Token));
        }
        else
        {
            await Assert.ThrowsAsync<RequestFailedException>(async () => await store.TryCreateAsync("a", Blob, Token));
            await Assert.ThrowsAsync<RequestFailedException>(async () => await store.TryReplaceAsync("a", Blob, "\"0x1\"", Token));
        }
    }

    [Fact]
    public async Task ADocumentWithoutLengthEndsAtItsLimit()
    {
        using var endless = new EndlessStream();
        var store = new BlobShardStore(new ScriptedServer(_ => ScriptedServer.Answer(HttpStatusCode.OK, endless)).Container());

        await Assert.ThrowsAsync<InvalidDataException>(async () => await store.TryReadDocumentAsync("a", 1_000_000, Token));

        Assert.InRange(endless.BytesRead, 1_000_000, 3_000_000);
    }

    [Fact]
    public async Task ALengthThatTheServerLeavesOutIsNotTakenForZero()
    {
        var store = new BlobShardStore(new ScriptedServer(_ => ScriptedServer.Answer(HttpStatusCode.OK, new MemoryStream())).Container());

        await Assert.ThrowsAsync<InvalidDataException>(async () => await store.TryFindAsync("a", Token));
    }

    [Fact]
    public async Task ACommitThatStoredAnotherLengthIsAnError()
    {
        static async IAsyncEnumerable<ReadOnlyMemory<byte>> Blocks()
        {
            yield return Blob;
            await Task.Yield();
        }

        var store = new BlobShardStore(new ScriptedServer(request => request.Method == HttpMethod.Head
            ? ScriptedServer.Answer(HttpStatusCode.OK, Blob[..99])
            : ScriptedServer.Answer(HttpStatusCode.Created, [])).Container());

        var wrong = await Assert.ThrowsAsync<InvalidDataException>(async () => await store.TryCreateAsync("a", Blocks(), Token));

        Assert.Contains("99 bytes", wrong.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("\"0x1\"")]
    [InlineData("0x1")]
    public async Task APinnedReadAsksForItsVersionAndRefusesAnother(string version)
    {
        string? asked = null;
        var server = new ScriptedServer(request =>
        {
            asked = request.Headers.IfMatch.ToString();
            return ScriptedServer.Answer(HttpStatusCode.PartialContent, Blob[..10], "bytes 0-9/100");
        });
        var blob = server.Container().GetBlobBaseClient("a");

        await BlobRange.ReadAsync(blob, 0, new byte[10], new ETag(version), Token);
        Assert.Equal("\"0x1\"", asked);
        await Assert.ThrowsAsync<InvalidDataException>(async () => await BlobRange.ReadAsync(blob, 0, new byte[10], new ETag("\"0x2\""), Token));
    }

    private static Task ReadAsync(BlobShardStore store, long offset, byte[] destination, bool isBlocking) => isBlocking
        ? Task.Run(() => store.Read("a", offset, destination, Token), Token)
        : store.ReadAsync("a", offset, destination, Token).AsTask();

    /// <summary>Some bytes, then a broken connection.</summary>
    private sealed class BreakingStream(byte[] bytes) : MemoryStream(bytes)
    {
        public override int Read(byte[] buffer, int offset, int count) =>
            base.Read(buffer, offset, count) is var read and > 0 ? read : throw new IOException("The connection was reset.");
    }

    /// <summary>Zeros without end.</summary>
    private sealed class EndlessStream : MemoryStream
    {
        public long BytesRead { get; private set; }

        public override int Read(byte[] buffer, int offset, int count)
        {
            BytesRead += count;
            return count;
        }
    }
}
