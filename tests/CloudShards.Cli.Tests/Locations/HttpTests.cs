using CloudShards.Sharding;
using CloudShards.Testing;
using Microsoft.Extensions.Time.Testing;

namespace CloudShards.Cli.Tests;

/// <summary>Files on a server.</summary>
public sealed class HttpTests : IAsyncDisposable
{
    private const string Path = "/models/plain.safetensors";

    private static readonly CorpusFile File = CorpusFile.Get("plain.safetensors");

    private readonly RangeServer _server = new();

    public HttpTests() => _server.Files[Path] = File.ReadAllBytes();

    public static TheoryData<string> Lies => new(WrongAnswers.Keys);

    private static Dictionary<string, Func<ServerAnswer, ServerAnswer>> WrongAnswers => new()
    {
        ["other bytes than asked for"] = good => good with { Headers = ["Content-Range: bytes 1-9/9999"] },
        ["another unit"] = good => good with { Headers = [good.Headers[^1].Replace("bytes ", "lines ", StringComparison.Ordinal)] },
        ["no Content-Range"] = good => good with { Headers = [] },
        ["a compressed body"] = good => good with { Headers = [.. good.Headers, "Content-Encoding: gzip"] },
        ["a body that is cut short"] = good => good with { Headers = [.. good.Headers, $"Content-Length: {good.Body.Length}"], Body = good.Body[1..] },
        ["fewer bytes than it says"] = good => good with { Body = good.Body[1..] },
        ["more bytes than it says"] = good => good with { Body = new byte[good.Body.Length + 1] },
        ["another length of the file"] = good => good with { Headers = [.. good.Headers.SkipLast(1), good.Headers[^1] + "0"] },
        ["an error"] = good => good with { Status = 500 },
        ["all of the file"] = _ => new(200, [], File.ReadAllBytes()),
        ["a redirection to nowhere"] = good => good with { Status = 302 },
    };

    public ValueTask DisposeAsync() => _server.DisposeAsync();

    [Fact]
    public async Task AFileIsReadByRangesAndEveryOneIsPinned()
    {
        var run = await InspectAsync(Path);

        run.AssertIs(File);
        Assert.All(_server.Requests.Skip(1), request => Assert.Equal("\"1\"", request.Headers["If-Match"]));
        Assert.All(_server.Requests, request => Assert.Contains("Range", request.Headers));
    }

    [Theory]
    [InlineData(null)]
    [InlineData("W/\"weak\"")]
    public async Task WithoutAStrongETagNothingIsAskedForByIt(string? etag)
    {
        _server.ETag = etag;

        var run = await InspectAsync(Path);

        run.AssertIs(File);
        Assert.All(_server.Requests, request => Assert.DoesNotContain("If-Match", request.Headers));
    }

    [Fact]
    public async Task AnEmptyFileIsRefusedAndNotMisread()
    {
        _server.Files["/empty.pt"] = [];

        (await InspectAsync("/empty.pt")).AssertRefused();
    }

    [Fact]
    public async Task FilesOfASetAreBesideTheIndexUnderTheSameQuery()
    {
        var index = CorpusFile.Get("hf_st/model.safetensors.index.json");
        foreach (var file in CorpusFile.All.Where(file => file.Name.StartsWith("hf_st/", StringComparison.Ordinal)))
        {
            _server.Files["/m/" + file.Name["hf_st/".Length..]] = file.ReadAllBytes();
        }

        var run = await InspectAsync("/m/model.safetensors.index.json?key=1");

        run.AssertIs(index);
        Assert.All(_server.Requests, request => Assert.EndsWith("?key=1", request.Target, StringComparison.Ordinal));
    }

    [Fact]
    public async Task AMissingFileOfASetIsARefusal()
    {
        _server.Files["/m/i.json"] = CorpusFile.Get("hf_st/model.safetensors.index.json").ReadAllBytes();

        (await InspectAsync("/m/i.json")).AssertRefused();
    }

    [Theory]
    [InlineData(404, "There is no `")]
    [InlineData(401, " may not be read (status 401)")]
    [InlineData(403, " may not be read (status 403)")]
    [InlineData(503, "answered 503 (Said) for `")]
    public async Task AnErrorOfTheServerIsToldWithoutTheQuery(int status, string expected)
    {
        _server.Answer = _ => new(status, [], default);

        var run = await InspectAsync($"{Path}?token=secret");

        AssertFailed(run, expected);
        Assert.DoesNotContain("secret", run.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task AServerThatIgnoresRangesIsNamedAndNotReadToItsEnd()
    {
        _server.Answer = _ => new(200, [], _server.Files[Path]);

        AssertFailed(await InspectAsync(Path), "ignores ranges and sends the whole file");
    }

    [Theory]
    [MemberData(nameof(Lies))]
    public async Task AServerThatAnswersAReadWronglyIsNotBelieved(string lie)
    {
        _server.Answer = request =>
        {
            var good = _server.Serve(request);
            return request.Range == (0, 0) ? good : WrongAnswers[lie](good);
        };

        AssertFailed(await InspectAsync(Path), "error: ");
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task AFileThatIsOverwrittenMeanwhileIsNotMixed(bool serverKnowsIfMatch)
    {
        _server.Answer = request =>
        {
            if (_server.Requests.Count == 2)
            {
                _server.ETag = "\"2\"";
            }

            var known = request.Headers.Where(header => serverKnowsIfMatch || header.Key != "If-Match");
            return _server.Serve(request with { Headers = known.ToDictionary(StringComparer.OrdinalIgnoreCase) });
        };

        AssertFailed(await InspectAsync(Path), "was overwritten or deleted while it was being read");
    }

    [Fact]
    public async Task WithoutAnETagTheTimeOfWritingTellsAVersion()
    {
        _server.ETag = null;
        _server.Answer = request =>
        {
            var good = _server.Serve(request);
            return good with { Headers = [$"Last-Modified: Wed, 21 Oct 2015 07:28:0{_server.Requests.Count} GMT", .. good.Headers] };
        };

        AssertFailed(await InspectAsync(Path), "was overwritten or deleted while it was being read");
    }

    [Fact]
    public async Task AServerThatFallsSilentIsGivenUp()
    {
        var clock = new FakeTimeProvider();
        var asked = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        _server.Answer = _ =>
        {
            asked.SetResult();
            return ServerAnswer.Silence;
        };
        using var location = new HttpLocation(_server.Address(Path), clock);

        var opening = location.OpenAsync(TestContext.Current.CancellationToken);
        await asked.Task;
        clock.Advance(TimeSpan.FromMinutes(5));

        var failure = await Assert.ThrowsAsync<CommandException>(() => opening);
        Assert.Contains("was silent for 100 s", failure.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task AnInterruptionEndsTheCommandWith130()
    {
        using var interruption = new CancellationTokenSource();
        _server.Answer = _ =>
        {
            interruption.Cancel();
            return ServerAnswer.Silence;
        };

        var run = await CommandRun.RunAsync(["inspect", _server.Address(Path).AbsoluteUri], interruption.Token);

        Assert.Equal(new(ExitCode.Interrupted, "", ""), run);
    }

    [Fact]
    public async Task AServerThatCannotBeReachedIsAnError()
    {
        var gone = new RangeServer();
        await gone.DisposeAsync();

        AssertFailed(await CommandRun.InspectAsync(gone.Address(Path).AbsoluteUri), "The server cannot be reached");
    }

    [Fact]
    public async Task AVersionIsCheckedWithoutReadingTheFile()
    {
        using var location = new HttpLocation(_server.Address(Path), TimeProvider.System);
        var source = await location.OpenAsync(TestContext.Current.CancellationToken);
        await source.EnsureUnchangedAsync(TestContext.Current.CancellationToken);

        _server.ETag = "\"2\"";

        await Assert.ThrowsAsync<SourceChangedException>(() => source.EnsureUnchangedAsync(TestContext.Current.CancellationToken).AsTask());
        Assert.InRange(_server.BodyBytes, 0, 3);
    }

    private static void AssertFailed(CommandRun run, string expected)
    {
        Assert.Equal(("", ExitCode.Failed), (run.Output, run.ExitCode));
        Assert.StartsWith("error: ", run.Error, StringComparison.Ordinal);
        Assert.Contains(expected, run.Error, StringComparison.Ordinal);
    }

    private Task<CommandRun> InspectAsync(string pathAndQuery) =>
        CommandRun.InspectAsync("--json", "--digests", _server.Address(pathAndQuery).AbsoluteUri);
}
