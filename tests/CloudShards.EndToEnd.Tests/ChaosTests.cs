using CloudShards.Chaos;

namespace CloudShards.EndToEnd.Tests;

/// <summary>The short form of the chaos run; CONTRIBUTING.md has the command of the long one.</summary>
public sealed class ChaosTests
{
    [Fact]
    public async Task NobodyCanTellThatWorkersWereKilled()
    {
        var options = new ChaosOptions(Seed: 1, Kills: 6, Workers: 2) { Uploads = 8, Names = 3 };

        var report = await ChaosRun.RunAsync(options, TestContext.Current.SendDiagnosticMessage, TestContext.Current.CancellationToken);

        Assert.Empty(report.Problems);
        // At least the newest of each of three names, of the large one and of the set; at most each upload, and both versions of the set.
        Assert.InRange(report.Committed, 5, report.Uploads + 2);
        Assert.InRange(report.ManifestsChecked, 5, 12);
    }
}
