using CloudShards.Formats;

namespace CloudShards.Tests;

/// <summary>What of the whole process is alive is counted, so nothing else may run.</summary>
[Collection(nameof(AllocationTests))]
public sealed class ManifestMemoryTests : IDisposable
{
    private const int Tensors = 300_000;
    private const long MaxBytes = 16 << 20;

    private readonly TemporaryFolder _folder = new();

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public void Dispose() => _folder.Dispose();

    [Fact]
    public async Task ALargeManifestIsNeverInMemoryTogether()
    {
        var (bytes, most) = (0L, 0L);
        var store = new RecordingStore(new DirectoryShardStore(_folder.Path));
        store.Block = block => (bytes, most) = (bytes + block.Length, Math.Max(most, GC.GetTotalMemory(forceFullCollection: true)));
        var manifest = ManifestOf(Tensors);
        await ManifestWriter.WriteAsync(store, ManifestOf(1), Token);
        var before = GC.GetTotalMemory(forceFullCollection: true);

        await ManifestWriter.WriteAsync(store, manifest, Token);

        Assert.InRange(bytes, 3 * MaxBytes, long.MaxValue);
        Assert.InRange(most - before, 0, MaxBytes);
        GC.KeepAlive(manifest);
    }

    private static ShardManifest ManifestOf(int tensors) => new()
    {
        Name = "net",
        ChunkBytes = 1,
        Tensors = [.. Enumerable.Range(0, tensors).Select(i => new ShardedTensor($"model.layers.{i:d6}.weight", TensorDType.U8, [1], 1, Digest.Of([1]), [7]))],
    };
}
