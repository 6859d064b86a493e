using System.Text;
using CloudShards.Formats;
using Microsoft.Extensions.Time.Testing;

namespace CloudShards.Sharding.Tests.Jobs;

public sealed class JobStoreTests : IDisposable
{
    private static readonly DateTimeOffset Noon = new(2026, 11, 23, 12, 0, 0, TimeSpan.Zero);

    private static readonly JobStatus Begun = new()
    {
        Job = "job",
        State = JobState.Sharding,
        Path = "team/model.pt",
        ETag = "0x8D4",
        StartedAt = Noon,
        UpdatedAt = Noon,
    };

    private static readonly string File = JobStore.IdOf(Begun.Path, Begun.ETag);
    private static readonly JobStatus Member = Begun with { Job = File };

    private readonly TemporaryFolder _folder = new();
    private readonly FakeTimeProvider _clock = new(Noon);
    private readonly StoreWatch _work;
    private readonly JobStore _jobs;

    public JobStoreTests()
    {
        _work = new(new DirectoryShardStore(_folder.Path));
        _jobs = new(_work, _clock);
    }

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public void Dispose() => _folder.Dispose();

    // Another id for the same upload would shard it again, and a person would look for the status in vain.
    [Theory]
    [InlineData("model.pt", "0x8D4", "c86a677318a192fbe05395546278c1cb")]
    [InlineData("model.pt", "0x8D5", "2052fed00dec993dbe2335ec1901cc0f")]
    [InlineData("ünïcödé/世.pt", "0x8D4", "6e04e905a0773fa17b86c498779b446d")]
    public void TheIdOfAnUploadNeverChanges(string path, string etag, string id) => Assert.Equal(id, JobStore.IdOf(path, etag));

    [Fact]
    public async Task ThereIsNoStatusBeforeTheFirstUpdate() => Assert.Null(await _jobs.TryReadAsync("job", Token));

    [Fact]
    public async Task WhatIsWrittenReadsBack()
    {
        var status = Begun with
        {
            Name = "team/model",
            Reference = "team/model@sha256:…",
            Shards = new(3, 7),
            Bytes = new(1L << 40, 1L << 41),
            ShardsCreated = 2,
            Error = new("BadTensor", "a `message` with <signs> & ünïcödé", 4096, "fc.weight"),
        };
        _clock.Advance(TimeSpan.FromMinutes(1));

        await _jobs.UpdateAsync("job", _ => status, Token);

        Assert.Equal(status with { UpdatedAt = Noon.AddMinutes(1) }, await _jobs.TryReadAsync("job", Token));
    }

    [Fact]
    public async Task ThePersonWhoReadsTheDocumentUnderstandsIt()
    {
        await _jobs.UpdateAsync("job", _ => Begun with { State = JobState.Failed, Error = new("BadName", "`é` & <é>") }, Token);

        var document = await _work.TryReadDocumentAsync("jobs/job/status.json", 1 << 20, Token);
        var text = Encoding.UTF8.GetString(document!.Content.Span);
        Assert.Contains("\"state\": \"failed\"", text, StringComparison.Ordinal);
        Assert.Contains("\"message\": \"`é` & <é>\"", text, StringComparison.Ordinal);
        Assert.DoesNotContain("null", text, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("")]
    [InlineData("null")]
    [InlineData("{}")]
    [InlineData("""{"state": "lost"}""")]
    public async Task WhatIsNoStatusIsNamedWithItsCure(string content)
    {
        await _work.TryCreateAsync("jobs/job/status.json", Encoding.UTF8.GetBytes(content), Token);

        var exception = await Assert.ThrowsAsync<InvalidDataException>(() => _jobs.TryReadAsync("job", Token));

        Assert.Contains("`jobs/job/status.json` is not the status of a job", exception.Message, StringComparison.Ordinal);
        Assert.Contains("Delete it", exception.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(JobState.Committed)]
    [InlineData(JobState.Superseded)]
    [InlineData(JobState.Failed)]
    public async Task AFinalStateStays(JobState state)
    {
        var final = await _jobs.UpdateAsync("job", _ => Begun with { State = state }, Token);

        var after = await _jobs.UpdateAsync("job", present => present! with { State = JobState.Sharding }, Token);

        Assert.Equal(final, after);
        Assert.Equal(final, await _jobs.TryReadAsync("job", Token));
        Assert.Single(_work.Writes);
    }

    [Fact]
    public async Task AChangeIsMadeToWhatAnotherWorkerLeft()
    {
        await _jobs.UpdateAsync("job", _ => Begun, Token);
        _work.Writing = async _ =>
        {
            _work.Writing = _ => Task.CompletedTask;
            await _jobs.UpdateAsync("job", present => present! with { Name = "by another" }, Token);
        };

        var status = await _jobs.UpdateAsync("job", present => present! with { ShardsCreated = 5 }, Token);

        Assert.Equal(("by another", 5), (status.Name, status.ShardsCreated));
    }

    [Fact]
    public async Task AnEndByAnotherWorkerIsTheEnd()
    {
        await _jobs.UpdateAsync("job", _ => Begun, Token);
        _work.Writing = async _ =>
        {
            _work.Writing = _ => Task.CompletedTask;
            await _jobs.UpdateAsync("job", present => present! with { State = JobState.Committed, Reference = "model@sha256:…" }, Token);
        };

        var status = await _jobs.UpdateAsync("job", present => present! with { State = JobState.Superseded }, Token);

        Assert.Equal((JobState.Committed, "model@sha256:…"), (status.State, status.Reference));
    }

    [Fact]
    public async Task ManyWorkersAtOnceLoseNothing()
    {
        await _jobs.UpdateAsync("job", _ => Begun, Token);

        await Task.WhenAll(Enumerable.Range(0, 8).Select(_ => Task.Run(
            () => _jobs.UpdateAsync("job", present => present! with { ShardsCreated = present.ShardsCreated + 1 }, Token), Token)));

        Assert.Equal(8, (await _jobs.TryReadAsync("job", Token))!.ShardsCreated);
    }

    [Fact]
    public async Task AChangeThatMayBeLeftOutGivesWayToAnothers()
    {
        await _jobs.UpdateAsync("job", _ => Begun, Token);
        _work.Writing = async _ =>
        {
            _work.Writing = _ => Task.CompletedTask;
            await _jobs.UpdateAsync("job", present => present! with { Name = "by another" }, Token);
        };

        var status = await _jobs.TryUpdateAsync("job", present => present! with { ShardsCreated = 5 }, Token);

        Assert.Null(status);
        Assert.Equal(("by another", 0), ((await _jobs.TryReadAsync("job", Token))!.Name, (await _jobs.TryReadAsync("job", Token))!.ShardsCreated));
    }

    [Fact]
    public async Task WhoIsAlwaysTooSlowGivesUpAndSaysSo()
    {
        var other = new JobStore(new DirectoryShardStore(_folder.Path), _clock);
        _work.Writing = async _ =>
        {
            _clock.Advance(TimeSpan.FromSeconds(1));
            await other.UpdateAsync("job", present => (present ?? Begun) with { Name = "by another" }, Token);
        };

        var exception = await Assert.ThrowsAsync<InvalidOperationException>(() => _jobs.UpdateAsync("job", present => (present ?? Begun) with { Name = "by this one" }, Token));

        Assert.Contains("The status of the job `job` was changed by others 100 times", exception.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void AnErrorSaysWhatWasRefusedWhere()
    {
        var refusal = new CheckpointFormatException(CheckpointError.BadTensor, "too long", 4096, "fc.weight");

        Assert.Equal(new("BadTensor", "too long", 4096, "fc.weight"), JobError.Of(refusal));
        Assert.Equal(new("IOException", "disk full"), JobError.Of(new IOException("disk full")));
    }

    [Theory]
    [InlineData(JobState.Committed, 1, true)]
    [InlineData(JobState.Committed, 0, true)]
    [InlineData(JobState.Failed, 1, true)]
    [InlineData(JobState.Sharding, 1, true)]
    [InlineData(JobState.Sharding, 0, false)]
    [InlineData(JobState.Committed, -1, false)]
    [InlineData(JobState.Failed, -1, false)]
    [InlineData(JobState.Sharding, -1, false)]
    [InlineData(JobState.Superseded, 1, false)]
    public async Task ASetSpeaksForItsFilesUnlessItWasOvertaken(JobState state, int minutesLater, bool speaks)
    {
        var before = await _jobs.UpdateAsync(File, _ => Member with { State = JobState.Committed, Reference = "model@before" }, Token);
        var set = Begun with { Job = "set", State = state, Path = "index", Reference = "model@set", StartedAt = Noon.AddMinutes(minutesLater) };

        await _jobs.MirrorAsync(set, before.Path, before.ETag, Token);

        Assert.Equal(speaks ? set with { Job = File, Path = before.Path, Set = set.Job } : before, await _jobs.TryReadAsync(File, Token));
    }

    /// <summary>A worker that read how far a set is tells its files so when the set is over by then.</summary>
    [Theory]
    [InlineData(JobState.Committed)]
    [InlineData(JobState.Superseded)]
    [InlineData(JobState.Failed)]
    public async Task WhatASetSaidBeforeItWasOverDoesNotReplaceItsEnd(JobState end)
    {
        var set = Begun with { Job = "set", Path = "index" };
        await _jobs.MirrorAsync(set with { State = end }, Member.Path, Member.ETag, Token);
        var ended = await _jobs.TryReadAsync(File, Token);

        await _jobs.MirrorAsync(set, Member.Path, Member.ETag, Token);

        Assert.Equal(end, ended!.State);
        Assert.Equal(ended, await _jobs.TryReadAsync(File, Token));
    }

    [Theory]
    [InlineData(JobState.Sharding)]
    [InlineData(JobState.Superseded)]
    public async Task AnEarlierSetIsSilentOfAFileThatIsOneOfALater(JobState state)
    {
        await _jobs.MirrorAsync(Begun with { Job = "later", StartedAt = Noon.AddMinutes(1) }, Member.Path, Member.ETag, Token);

        await _jobs.MirrorAsync(Begun with { Job = "earlier", State = state }, Member.Path, Member.ETag, Token);

        Assert.Equal("later", (await _jobs.TryReadAsync(File, Token))!.Set);
    }

    [Fact]
    public async Task AFileThatWasGivenUpHearsOfItsSetsSuccess()
    {
        await _jobs.UpdateAsync(File, _ => Member with { State = JobState.Failed, Set = "set", StartedAt = Noon.AddMinutes(1) }, Token);

        await _jobs.MirrorAsync(Begun with { Job = "set", State = JobState.Committed }, Member.Path, Member.ETag, Token);

        Assert.Equal(JobState.Committed, (await _jobs.TryReadAsync(File, Token))!.State);
    }

    [Theory]
    [InlineData(JobState.Sharding)]
    [InlineData(JobState.Waiting)]
    public async Task AFileThatIsNotDoneHearsOfASetThatWasOvertaken(JobState present)
    {
        await _jobs.UpdateAsync(File, _ => Member with { State = present, StartedAt = Noon.AddMinutes(1) }, Token);

        await _jobs.MirrorAsync(Begun with { State = JobState.Superseded }, Member.Path, Member.ETag, Token);

        Assert.Equal(JobState.Superseded, (await _jobs.TryReadAsync(File, Token))!.State);
    }

    [Fact]
    public async Task WhatDoesNotChangeIsNotWritten()
    {
        var begun = await _jobs.UpdateAsync("job", _ => Begun, Token);
        _clock.Advance(TimeSpan.FromMinutes(1));

        Assert.Equal(begun, await _jobs.UpdateAsync("job", present => present!, Token));

        Assert.Equal(begun, await _jobs.TryReadAsync("job", Token));
        Assert.Single(_work.Writes);
    }

    [Fact]
    public async Task AnEndEndsTheClaim()
    {
        await _jobs.UpdateAsync("job", _ => Begun with { ClaimedUntil = Noon.AddMinutes(1), SettlesAt = Noon.AddMinutes(1) }, Token);

        var end = await _jobs.UpdateAsync("job", present => present! with { State = JobState.Committed }, Token);

        Assert.Equal((null, null), (end.ClaimedUntil, end.SettlesAt));
    }
}
