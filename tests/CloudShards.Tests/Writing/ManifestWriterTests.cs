using CloudShards.Formats;

namespace CloudShards.Tests;

public sealed class ManifestWriterTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();
    private readonly RecordingStore _store;

    public ManifestWriterTests() => _store = new(new DirectoryShardStore(_folder.Path));

    // The second is written in blocks: more than 8 MiB.
    public static TheoryData<int> Sizes => [1, 60_000];

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public void Dispose() => _folder.Dispose();

    [Theory]
    [MemberData(nameof(Sizes))]
    public async Task AManifestThatIsThereIsNotWrittenAgain(int tensors)
    {
        var manifest = ManifestOf(tensors);

        var digest = await ManifestWriter.WriteAsync(_store, manifest, Token);
        Assert.Equal(digest, await ManifestWriter.WriteAsync(_store, manifest, Token));

        var utf8 = manifest.ToUtf8();
        Assert.Equal(Digest.Of(utf8), digest);
        Assert.Equal(utf8.Length, (await _store.TryFindAsync(StoreLayout.Manifest("net", digest), Token))?.Bytes);
    }

    [Theory]
    [MemberData(nameof(Sizes))]
    public async Task OneThatIsThereWithAnotherLengthIsDamaged(int tensors)
    {
        var manifest = ManifestOf(tensors);
        var name = StoreLayout.Manifest("net", Digest.Of(manifest.ToUtf8()));
        await _store.TryCreateAsync(name, new byte[3], Token);

        var damaged = await Assert.ThrowsAsync<InvalidDataException>(() => ManifestWriter.WriteAsync(_store, manifest, Token));

        Assert.Contains($"`{name}` is there with 3 bytes", damaged.Message, StringComparison.Ordinal);
    }

    internal static ShardManifest ManifestOf(int tensors) => new()
    {
        Name = "net",
        ChunkBytes = 1,
        Tensors = [.. Enumerable.Range(0, tensors).Select(i => new ShardedTensor($"tensor.{i:d5}", TensorDType.U8, [1], 1, Digest.Of([1]), [7]))],
    };
}
