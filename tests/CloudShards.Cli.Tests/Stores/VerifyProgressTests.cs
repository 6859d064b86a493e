using Microsoft.Extensions.Time.Testing;

namespace CloudShards.Cli.Tests;

public sealed class VerifyProgressTests
{
    [Fact]
    public async Task ALineTellsHowFarItIsAndDisappearsAtTheEnd()
    {
        await using var terminal = new StringWriter();
        var clock = new FakeTimeProvider();
        using (var progress = new VerifyProgress(terminal, 3, 4 << 20, clock))
        {
            progress.Read(1 << 20);
            clock.Advance(TimeSpan.FromSeconds(1));
            progress.BlobDone();
            progress.Read(1 << 20);
        }

        const string Line = "1 of 3 blobs, 1.0 MiB of 4.0 MiB, 1.0 MiB/s";
        Assert.Equal($"\r{Line}\r{new string(' ', Line.Length)}\r", terminal.ToString());
    }
}
