using System.Collections.Immutable;
using CloudShards.Formats;
using Microsoft.Extensions.Time.Testing;

namespace CloudShards.Tests;

public sealed class CheckpointTagsTests : IDisposable
{
    private static readonly CheckpointReference Latest = CheckpointReference.Parse("net");
    private static readonly Digest One = Digest.Of([1]);
    private static readonly Digest Two = Digest.Of([2]);

    private readonly TemporaryFolder _folder = new();
    private readonly FakeTimeProvider _clock = new(At(12));
    private readonly RecordingStore _store;
    private readonly CheckpointTags _tags;

    public CheckpointTagsTests()
    {
        _store = new(new DirectoryShardStore(_folder.Path));
        _tags = new(_store, _clock);
    }

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public void Dispose() => _folder.Dispose();

    public static TheoryData<ShardTag?, ShardTag, TagRule, string> Decisions => new()
    {
        { null, Uploaded(One, 1), TagRule.ForwardOnly, "Write" },
        { null, ByHand(One, 1), TagRule.Always, "Write" },
        { Uploaded(One, 1), Uploaded(Two, 2), TagRule.ForwardOnly, "Write" },
        { Uploaded(One, 2), Uploaded(Two, 2), TagRule.ForwardOnly, "Write" },
        { Uploaded(One, 2), Uploaded(Two, 1), TagRule.ForwardOnly, "Keep" },
        { Uploaded(One, 2), Uploaded(Two, 1), TagRule.Always, "Write" },
        { Uploaded(One, 2), Uploaded(Two, 1, 3), TagRule.ForwardOnly, "Write" },
        { Uploaded(One, 1, 3), Uploaded(Two, 2), TagRule.ForwardOnly, "Keep" },
        { ByHand(One, 2), Uploaded(Two, 1), TagRule.ForwardOnly, "Keep" },
        { ByHand(One, 2), Uploaded(Two, 3), TagRule.ForwardOnly, "Write" },
        { Uploaded(One, 2), ByHand(Two, 1), TagRule.Always, "Write" },
        { Uploaded(One, 2), Uploaded(One, 2), TagRule.ForwardOnly, "Done" },
        { Uploaded(One, 1), Uploaded(One, 2), TagRule.ForwardOnly, "Write" },
        { Uploaded(One, 2), Uploaded(One, 1), TagRule.ForwardOnly, "Keep" },
        { ByHand(One, 1), ByHand(One, 2), TagRule.Always, "Write" },
        { ByHand(One, 2), ByHand(One, 2), TagRule.Always, "Done" },
        { ByHand(One, 3), ByHand(One, 2), TagRule.Always, "Done" },
        { Uploaded(One, 1), ByHand(One, 2), TagRule.Always, "Write" },
    };

    [Theory]
    [MemberData(nameof(Decisions))]
    public void TheRuleDecides(ShardTag? present, ShardTag wanted, TagRule rule, string decision) =>
        Assert.Equal(decision, CheckpointTags.Decide(present, wanted, rule).ToString());

    [Fact]
    public async Task AnOlderUploadThatFinishesLateDoesNotDisplaceANewerOne()
    {
        await StoreManifestsAsync();

        Assert.True(await _tags.MoveAsync(Latest, Two, Upload(2), Token));
        Assert.False(await _tags.MoveAsync(Latest, One, Upload(1), Token));
        Assert.Equal(Two, (await _tags.TryReadAsync(Latest, Token))?.Digest);

        Assert.True(await _tags.MoveAsync(Latest, One, null, Token));
        Assert.False(await _tags.MoveAsync(Latest, Two, Upload(11), Token));
        Assert.True(await _tags.MoveAsync(Latest, Two, Upload(13), Token));
        Assert.Equal(Two, (await _tags.TryReadAsync(Latest, Token))?.Digest);
    }

    [Fact]
    public async Task ATagThatIsPinnedWhereItIsIsNotDisplacedByAnUploadOfBefore()
    {
        await StoreManifestsAsync();
        await _tags.MoveAsync(Latest, One, null, Token);
        _clock.Advance(TimeSpan.FromHours(4));

        Assert.True(await _tags.MoveAsync(Latest, One, null, Token));

        Assert.Equal(At(16), (await _tags.TryReadAsync(Latest, Token))?.MovedAt);
        Assert.False(await _tags.MoveAsync(Latest, Two, Upload(14), Token));
        Assert.Equal(One, (await _tags.TryReadAsync(Latest, Token))?.Digest);
    }

    [Fact]
    public async Task AMoveByHandWhoseAnswerWasLostIsRecognised()
    {
        await StoreManifestsAsync();
        var same = new CheckpointTags(new DirectoryShardStore(_folder.Path), _clock);
        _store.Replacing = () => same.MoveAsync(Latest, One, null, Token);

        Assert.True(await _tags.MoveAsync(Latest, One, null, Token));
        Assert.Equal(1, _store.Count("replace"));
    }

    [Fact]
    public async Task ATagMovesOnlyToAManifestThatExists()
    {
        var missing = await Assert.ThrowsAsync<CheckpointNotFoundException>(() => _tags.MoveAsync(Latest, One, null, Token));

        Assert.Contains(One.ToString(), missing.Message, StringComparison.Ordinal);
        Assert.Null(await _tags.TryReadAsync(Latest, Token));
    }

    [Fact]
    public async Task ALostRaceIsDecidedAnewOnWhatTheWinnerWrote()
    {
        await StoreManifestsAsync();
        var rival = new CheckpointTags(new DirectoryShardStore(_folder.Path), _clock);
        _store.Replacing = async () =>
        {
            _store.Replacing = () => Task.CompletedTask;
            await rival.MoveAsync(Latest, Two, Upload(2), Token);
        };

        Assert.False(await _tags.MoveAsync(Latest, One, Upload(1), Token));

        Assert.Equal(Two, (await _tags.TryReadAsync(Latest, Token))?.Digest);
        Assert.Equal(1, _store.Count("replace"));
    }

    [Fact]
    public async Task AWriteWhoseAnswerWasLostIsRecognised()
    {
        await StoreManifestsAsync();
        var same = new CheckpointTags(new DirectoryShardStore(_folder.Path), _clock);
        _store.Replacing = () => same.MoveAsync(Latest, One, Upload(1), Token);

        Assert.True(await _tags.MoveAsync(Latest, One, Upload(1), Token));
        Assert.Equal(1, _store.Count("replace"));
    }

    [Fact]
    public async Task EndlessRacesAreGivenUp()
    {
        await StoreManifestsAsync();
        var rival = new CheckpointTags(new DirectoryShardStore(_folder.Path), _clock);
        var hour = 2;
        _store.Replacing = () => rival.MoveAsync(Latest, Two, Upload(++hour), Token);

        await Assert.ThrowsAsync<InvalidOperationException>(() => _tags.MoveAsync(Latest, One, null, Token));
        Assert.Equal(10, _store.Count("replace"));
    }

    [Fact]
    public async Task AReferenceByDigestIsNoTag()
    {
        var pinned = CheckpointReference.ForDigest("net", One);

        await Assert.ThrowsAsync<ArgumentException>(() => _tags.MoveAsync(pinned, One, null, Token));
        await Assert.ThrowsAsync<ArgumentException>(() => _tags.TryReadAsync(pinned, Token));
    }

    [Fact]
    public async Task ATagThatCannotBeReadIsNotOverwritten()
    {
        await StoreManifestsAsync();
        await _store.TryCreateAsync(StoreLayout.Tag("net", "latest"), "nonsense"u8.ToArray(), Token);

        await Assert.ThrowsAsync<CheckpointFormatException>(() => _tags.MoveAsync(Latest, One, null, Token));
        await Assert.ThrowsAsync<CheckpointFormatException>(() => _tags.TryReadAsync(Latest, Token));
    }

    [Fact]
    public async Task ACancelledTokenEndsEveryCall()
    {
        var stop = new CancellationToken(canceled: true);

        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => _tags.MoveAsync(Latest, One, null, stop));
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => _tags.TryReadAsync(Latest, stop));
    }

    private static DateTimeOffset At(int hour) => new(2026, 11, 5, hour, 0, 0, TimeSpan.Zero);

    private static ShardTag ByHand(Digest digest, int hour) => new(digest, At(hour), []);

    private static ShardTag Uploaded(Digest digest, params int[] hours) => new(digest, At(23), Sources(hours));

    private static TagMoveOptions Upload(int hour) => new() { Source = Sources([hour]), Rule = TagRule.ForwardOnly };

    private static ImmutableArray<TagSource> Sources(int[] hours) => [.. hours.Select(hour => new TagSource("net.pt", $"0x{hour}", At(hour)))];

    private async Task StoreManifestsAsync()
    {
        foreach (var digest in new[] { One, Two })
        {
            await _store.TryCreateAsync(StoreLayout.Manifest("net", digest), new byte[1], Token);
        }
    }
}
