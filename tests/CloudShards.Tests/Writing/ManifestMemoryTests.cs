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
        var manifest = ManifestWriterTests.ManifestOf(Tensors);
        await ManifestWriter.WriteAsync(store, ManifestWriterTests.ManifestOf(1), Token);
        var before = GC.GetTotalMemory(forceFullCollection: true);

        await ManifestWriter.WriteAsync(store, manifest, Token);

        Assert.InRange(bytes, 3 * MaxBytes, long.MaxValue);
        Assert.InRange(most - before, 0, MaxBytes);
        GC.KeepAlive(manifest);
    }
}
