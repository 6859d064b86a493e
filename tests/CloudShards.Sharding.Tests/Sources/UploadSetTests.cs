using Azure;
using CloudShards.Formats;

namespace CloudShards.Sharding.Tests.Sources;

public sealed class UploadSetTests
{
    private static readonly DateTimeOffset Noon = new(2026, 11, 25, 12, 0, 0, TimeSpan.Zero);

    // The files are the index and two parts; a version is a digit each, as the service's ETags change with every upload.
    [Theory]
    [InlineData("111", "111", false)]
    [InlineData("111", "112", true)]
    [InlineData("111", "211", true)]
    [InlineData("111", "221", true)]
    [InlineData("111", "222", false)]
    [InlineData("112", "122", true)]
    [InlineData("112", "222", true)]
    [InlineData("112", "333", false)]
    [InlineData("", "111", false)]
    public void ASetIsMixedWhereOnlySomeFilesAreThoseOfTheLatestVersion(string latest, string present, bool isMixed)
    {
        var tag = latest is "" ? null : new ShardTag(Digest.Of("x"u8), Noon, [.. latest.Select((version, i) => new TagSource($"m/{i}", $"{version}", Noon))]);

        Assert.Equal(isMixed, Set(present).IsMixed(tag));
    }

    // Where a person moved the tag, time tells what is new since.
    [Theory]
    [InlineData("000", false)]
    [InlineData("001", true)]
    [InlineData("100", true)]
    [InlineData("111", false)]
    public void WhereTheTagWasMovedByHandTimeTells(string minutesAfter, bool isMixed) =>
        Assert.Equal(isMixed, Set(minutesAfter).IsMixed(new(Digest.Of("x"u8), Noon, [])));

    [Fact]
    public void ASetIsAsOldAsItsNewestFile()
    {
        Assert.Equal(Noon.AddMinutes(3), Set("132").NewestAt);
        Assert.Equal(Noon.AddMinutes(4), Set("412").NewestAt);
    }

    private static UploadSet Set(string versions)
    {
        UploadVersion Version(int i) => new($"m/{i}", new ETag($"{versions[i]}"), Noon.AddMinutes(versions[i] - '0'));
        var index = Version(0);
        return new(new SourceOf(default, index.UploadedAt) { Path = index.Path, ETag = $"{versions[0]}" }, [Version(1), Version(2)], []);
    }
}
