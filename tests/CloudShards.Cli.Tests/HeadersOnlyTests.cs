using CloudShards.Formats;
using CloudShards.Testing;

namespace CloudShards.Cli.Tests;

/// <summary>How much of a file is read: what comes over the wire is counted.</summary>
public sealed class HeadersOnlyTests : IAsyncDisposable
{
    private const int MostHeaderBytes = 256 << 10;

    private static readonly SyntheticCheckpoint Checkpoint = new(
        [.. Enumerable.Range(0, 12).Select(i => new SyntheticTensor($"layers.{i}.weight", TensorDType.F32, [i < 11 ? 1L << 18 : 5L << 20]))]);

    private readonly RangeServer _server = new();

    public ValueTask DisposeAsync() => _server.DisposeAsync();

    [Theory]
    [InlineData("safetensors")]
    [InlineData("torch-zip")]
    public async Task OnlyHeadersAreRead(string format)
    {
        var run = await InspectAsync(format);

        Assert.Equal(12, run.Json.GetProperty("tensors").GetArrayLength());
        Assert.InRange(_server.BodyBytes, 1, MostHeaderBytes);
    }

    [Theory]
    [InlineData("safetensors")]
    [InlineData("torch-zip")]
    public async Task DigestsReadEveryTensorOnce(string format)
    {
        var run = await InspectAsync(format, "--digests");

        Assert.All(run.Json.GetProperty("tensors").EnumerateArray().Index(), tensor => Assert.Equal(
            Digest(tensor.Index), tensor.Item.GetProperty("sha256").GetString()));
        Assert.InRange(_server.BodyBytes, Checkpoint.TensorBytes, Checkpoint.TensorBytes + MostHeaderBytes);
    }

    private static string Digest(int tensor)
    {
        var bytes = new byte[Checkpoint.Tensors[tensor].Bytes];
        Checkpoint.Fill(tensor, 0, bytes);
        return Formats.Digest.Of(bytes).Hex;
    }

    private async Task<CommandRun> InspectAsync(string format, params IEnumerable<string> options)
    {
        await using var file = new MemoryStream();
        await (format == "safetensors"
            ? Checkpoint.WriteSafetensorsAsync(file, TestContext.Current.CancellationToken)
            : Checkpoint.WriteTorchZipAsync(file, TestContext.Current.CancellationToken));
        _server.Files["/model"] = file.ToArray();
        var run = await CommandRun.InspectAsync(["--json", .. options, _server.Address("/model").AbsoluteUri]);
        Assert.Equal(format, run.Json.GetProperty("format").GetString());
        return run;
    }
}
