using CloudShards.Formats.Tests.Files;
using CloudShards.Testing;

namespace CloudShards.Formats.Tests;

/// <summary>The hostile files of the corpus: those that try to run code, exhaust memory, lie about geometry or deceive zip readers.</summary>
public sealed class HostileFileTests
{
    private const string Evidence = "CLOUDSHARDS_PWNED";

    public static TheoryData<string> Hostile => GoldenFile.Names("evil_", "bomb_", "geometry_", "zip_", "corrupt_", "bad_", "truncated_");

    [Theory]
    [MemberData(nameof(Hostile))]
    public void AHostileFileRunsNothingAndCostsLittle(string name)
    {
        ArgumentNullException.ThrowIfNull(name);
        var file = CorpusFile.Get(name);
        var bytes = file.ReadAllBytes();
        CheckpointBytes.TryDescribe(bytes);

        var (allocated, refusal) = CheckpointBytes.Measure(bytes);

        Assert.False(File.Exists(Evidence), $"{name} created {Path.GetFullPath(Evidence)}");
        Assert.InRange(allocated, 0, (500L * bytes.Length) + (64 << 10));
        Assert.True(refusal is not null || file.Expect != CorpusExpectation.Reject);
        Assert.True(refusal is null || refusal.Message.Length < 1000, refusal?.Message);
    }

    [Theory]
    [MemberData(nameof(Evil))]
    public void AFileThatWouldRunCodeIsCalledSo(string name) =>
        Assert.Equal(CheckpointError.Forbidden, CheckpointBytes.Refuse(CorpusFile.Get(name).ReadAllBytes()).Error);

    // But for what hides behind the end, in an inert codec, in a file that is no checkpoint at all, or in formats that are not read.
    public static TheoryData<string> Evil => CorpusFile.Names(
        file => file.Format == "torch-zip" && file.Name.StartsWith("evil_", StringComparison.Ordinal) && file.Name is not ("evil_after_stop.pt" or "evil_codecs.pt"));
}
