using System.Diagnostics;
using CloudShards.Formats;

namespace CloudShards.Tests;

/// <summary>Several processes with one cache folder, one of which dies.</summary>
public sealed class CacheProcessTests : IDisposable
{
    private const string FolderVariable = "CLOUDSHARDS_TEST_FOLDER";
    private const string RoundsVariable = "CLOUDSHARDS_TEST_ROUNDS";
    private const int Tensors = 40;
    private const int MaxBytes = 30 * TensorBytes;
    private const int TensorBytes = 200_000;

    private readonly TemporaryFolder _folder = new();

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    private string Cache => Path.Combine(_folder.Path, "cache");

    public void Dispose() => _folder.Dispose();

    [Fact]
    public async Task ProcessesShareAFolderAndOneThatDiesLeavesNoHarm()
    {
        if (Environment.GetEnvironmentVariable(FolderVariable) is { } folder)
        {
            // This is one of the processes that the test starts.
            await ReadAsync(folder, int.Parse(Environment.GetEnvironmentVariable(RoundsVariable)!, null), Token);
            return;
        }

        var writer = new CheckpointWriter(new DirectoryShardStore(Path.Combine(_folder.Path, "store")), "net", new() { ChunkBytes = 10_000 });
        for (var i = 0; i < Tensors; i++)
        {
            await writer.WriteTensorAsync($"t{i}", TensorDType.U8, [TensorBytes], Content(i), Token);
        }

        await writer.PublishAsync(cancellationToken: Token);
        using var killed = Reader(int.MaxValue);
        using var other = Reader(20);
        while (!Directory.Exists(Path.Combine(Cache, "sha256")))
        {
            Assert.False(killed.HasExited);
            await Task.Yield();
        }

        killed.Kill();
        await killed.WaitForExitAsync(Token);
        Assert.Contains("Total: 1, Errors: 0, Failed: 0", await other.StandardOutput.ReadToEndAsync(Token), StringComparison.Ordinal);
        await ReadAsync(_folder.Path, rounds: 2, Token);

        var kept = Directory.GetFiles(Path.Combine(Cache, "sha256"), "*", SearchOption.AllDirectories);
        Assert.Empty(Directory.GetFiles(Path.Combine(Cache, "incoming"), "*.tmp", SearchOption.AllDirectories));
        Assert.Single(Directory.GetDirectories(Path.Combine(Cache, "incoming")));
        Assert.InRange(kept.Length, 1, 30);
        Assert.All(kept, file => Assert.Equal(Path.GetFileName(file), Digest.Of(File.ReadAllBytes(file)).Hex));
    }

    private static async Task ReadAsync(string folder, int rounds, CancellationToken cancellationToken)
    {
        for (var round = 0; round < rounds; round++)
        {
            var options = new ShardedCheckpointOptions { CacheFolder = Path.Combine(folder, "cache"), CacheMaxBytes = MaxBytes, MaxRequestBytes = 20_000 };
            await using var checkpoint = await ShardedCheckpoint.OpenFromAsync(new DirectoryShardStore(Path.Combine(folder, "store")), "net", options, cancellationToken);
            var reads = checkpoint.Tensors.Select(tensor => ShardRead.Whole(tensor, new byte[TensorBytes])).ToList();
            await checkpoint.ReadAllAsync(reads, cancellationToken: cancellationToken);
            Assert.All(reads, (read, i) => Assert.True(read.Destination.Span.SequenceEqual(Content(i))));
        }
    }

    private static byte[] Content(int seed)
    {
        var content = new byte[TensorBytes];
        new Random(seed).NextBytes(content);
        return content;
    }

    private Process Reader(int rounds)
    {
        var program = Path.Combine(AppContext.BaseDirectory, OperatingSystem.IsWindows() ? "CloudShards.Tests.exe" : "CloudShards.Tests");
        var test = $"{typeof(CacheProcessTests).FullName}.{nameof(ProcessesShareAFolderAndOneThatDiesLeavesNoHarm)}";
        return Process.Start(new ProcessStartInfo(program, ["-method", test])
        {
            Environment = { [FolderVariable] = _folder.Path, [RoundsVariable] = $"{rounds}" },
            RedirectStandardOutput = true,
        })!;
    }
}
