using CloudShards.Testing;

namespace CloudShards.Cli.Tests;

/// <summary>Every checkpoint of the corpus, against what PyTorch itself made of it.</summary>
public sealed class CorpusTests
{
    // The sidecars keep the keys apart; in a checkpoint here, two names that are one are a refusal and not a guess.
    private const string Colliding = "name_collision.pt";

    // Their lists of tensors are not specified: see the corpus's own notes.
    private static readonly string[] Unlisted = ["evil_codecs.pt", "evil_global_only.pt", "torchsharp_tensor.dat", "whole_module_legacy.pt"];

    public static TheoryData<string> Good => CorpusFile.Names(file => file.Expect == CorpusExpectation.Ok && file.Name != Colliding);

    public static TheoryData<string> Bad => CorpusFile.Names(file => file.Expect == CorpusExpectation.Reject || file.Name == Colliding);

    public static TheoryData<string> Doubtful => CorpusFile.Names(file => file.Expect == CorpusExpectation.Either);

    [Theory]
    [MemberData(nameof(Good))]
    public async Task AGoodFileIsToldWithTheDigestOfEveryTensor(string name)
    {
        var file = CorpusFile.Get(name);

        (await InspectAsync(file)).AssertIs(file);
    }

    [Theory]
    [MemberData(nameof(Bad))]
    public async Task ABadFileIsRefusedAsTextAndAsJson(string name)
    {
        var run = await InspectAsync(CorpusFile.Get(name));

        run.AssertRefused();
        Assert.False(File.Exists("CLOUDSHARDS_PWNED"), "The file has run code.");
    }

    [Theory]
    [MemberData(nameof(Doubtful))]
    public async Task ADoubtfulFileIsRefusedOrToldExactly(string name)
    {
        var (file, run) = (CorpusFile.Get(name), await InspectAsync(CorpusFile.Get(name)));

        if (run.ExitCode == ExitCode.Refused)
        {
            run.AssertRefused();
        }
        else if (!Unlisted.Contains(name))
        {
            run.AssertIs(file);
        }

        Assert.Contains(run.ExitCode, new[] { ExitCode.Done, ExitCode.Refused });
        Assert.False(File.Exists("CLOUDSHARDS_PWNED"), "The file has run code.");
    }

    [Fact]
    public async Task PublishedFilesAreToldWithTheDigestOfEveryTensor()
    {
        Assert.SkipWhen(CorpusFile.RealFiles.IsEmpty, "`shared/real` is not beside this clone.");

        foreach (var file in CorpusFile.RealFiles)
        {
            (await InspectAsync(file)).AssertIs(file);
        }
    }

    private static Task<CommandRun> InspectAsync(CorpusFile file) => CommandRun.InspectAsync("--json", "--digests", file.Path);
}
