using CloudShards.Formats;

namespace CloudShards.Cli.Tests;

/// <summary><c>cloudshards list</c>.</summary>
public sealed class ListTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public void Dispose() => _folder.Dispose();

    [Fact]
    public async Task AShardedCheckpointIsListedAsAFileIs()
    {
        var checkpoint = await PackedCheckpoint.PublishAsync(new DirectoryShardStore(_folder.Path));

        var run = await CommandRun.RunAsync(["list", _folder.Path, "net"], Token);

        Assert.Equal((ExitCode.Done, ""), (run.ExitCode, run.Error));
        Assert.StartsWith($"{checkpoint.Reference}: cloudshards/1, 254 B\n", run.Output, StringComparison.Ordinal);
        Assert.Matches(@"\ntail\.bias +I8 +\[4\] +4 B  shares storage with head\.bias\n", run.Output);
    }

    [Fact]
    public async Task JsonHasTheTensorsAndTheirDigests()
    {
        var checkpoint = await PackedCheckpoint.PublishAsync(new DirectoryShardStore(_folder.Path));

        var run = await CommandRun.RunAsync(["list", _folder.Path, $"{checkpoint.Reference}", "--json", "--digests"], Token);

        var tensors = run.Json.GetProperty("tensors").EnumerateArray().ToArray();
        Assert.Equal(ShardManifest.CurrentSchema, run.Json.GetProperty("format").GetString());
        Assert.Equal(checkpoint.Manifest.Tensors.Select(tensor => tensor.Name), tensors.Select(tensor => tensor.GetProperty("name").GetString()));
        Assert.Equal(checkpoint.Manifest.Tensors.Select(tensor => tensor.Digest.Hex), tensors.Select(tensor => tensor.GetProperty("sha256").GetString()));
    }

    [Fact]
    public async Task AMissingTagIsAnError()
    {
        var run = await CommandRun.RunAsync(["list", _folder.Path, "net"], Token);

        Assert.Equal((ExitCode.Failed, ""), (run.ExitCode, run.Output));
        Assert.StartsWith("error: There is no `net:latest`", run.Error, StringComparison.Ordinal);
    }
}
