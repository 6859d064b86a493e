using System.Collections.Immutable;
using CloudShards.Formats;

namespace CloudShards.Tests;

/// <summary>A checkpoint <c>packed</c> whose small tensors are repeated in a pack, and the store that it is read from.</summary>
public sealed class PackedCheckpoint : IAsyncLifetime
{
    public const int ChunkBytes = 1_000;

    /// <summary>Bytes of the pack: all but the tied, the empty and the large tensor.</summary>
    public const int PackBytes = 3_400;

    private readonly TemporaryFolder _folder = new();
    private ShardManifest _manifest = null!;

    /// <summary>By name: ten small tensors, of which <c>t3</c> has three chunks, one that is tied to <c>t1</c>, an empty one, and a large one.</summary>
    public Dictionary<string, byte[]> Contents { get; } = [];

    public Digest Pack { get; private set; }

    public string PackFile => Path.Combine([_folder.Path, .. StoreLayout.Pack(Pack).Split('/')]);

    internal RecordingStore Store => field ??= new(new DirectoryShardStore(_folder.Path));

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync()
    {
        var store = new DirectoryShardStore(_folder.Path);
        var writer = new CheckpointWriter(store, "packed", new() { ChunkBytes = ChunkBytes });
        var (pack, places) = (new MemoryStream(), ImmutableArray.CreateBuilder<PackedTensor>());
        foreach (var (name, bytes) in Enumerable.Range(0, 10).Select(i => ($"t{i}", i == 3 ? 2_500 : 100)).Concat([("tied", 100), ("empty", 0), ("large", 20_000)]))
        {
            var content = Contents[name] = name == "tied" ? Contents["t1"] : new byte[bytes];
            new Random(name == "tied" ? 1 : Contents.Count - 1).NextBytes(content);
            await writer.WriteTensorAsync(name, TensorDType.U8, [bytes], content, Token);
            if (name != "large")
            {
                places.Add(new(name, name == "tied" ? 100 : pack.Length));
                await pack.WriteAsync(name == "tied" ? [] : content, Token);
            }
        }

        Pack = await new ShardWriter(store, new()).WritePackAsync(pack.ToArray(), Token);
        await using var plain = await ShardedCheckpoint.OpenFromAsync(store, (await writer.PublishAsync(cancellationToken: Token)).ToString(), null, Token);
        _manifest = plain.Manifest with { Packs = [new(Pack, pack.Length, [.. places.OrderBy(place => place.Offset)])] };
    }

    public ValueTask DisposeAsync()
    {
        _folder.Dispose();
        return ValueTask.CompletedTask;
    }

    /// <summary>Opens it, with another manifest if need be. What is asked of the store is counted from here on.</summary>
    internal async Task<ShardedCheckpoint> OpenAsync(ShardedCheckpointOptions? options = null, Func<ShardManifest, ShardManifest>? change = null)
    {
        var digest = await ManifestWriter.WriteAsync(Store, change?.Invoke(_manifest) ?? _manifest, Token);
        var checkpoint = await ShardedCheckpoint.OpenFromAsync(Store, CheckpointReference.ForDigest("packed", digest).ToString(), options, Token);
        Store.Requests.Clear();
        return checkpoint;
    }

    /// <summary>Reads all tensors and checks their bytes.</summary>
    internal async Task ReadAllAsync(ShardedCheckpoint checkpoint, IProgress<ShardProgress>? progress = null, CancellationToken? cancellationToken = null)
    {
        var reads = checkpoint.Tensors.Select(tensor => ShardRead.Whole(tensor, new byte[tensor.Bytes])).ToList();
        await checkpoint.ReadAllAsync(reads, progress, cancellationToken ?? Token);
        Assert.All(reads, read => Assert.Equal(Contents[read.Tensor.Name], read.Destination.ToArray()));
    }

    /// <summary>Changes bytes of the pack, as a bad disk would.</summary>
    internal async Task DamageAsync(params int[] offsets)
    {
        var content = await File.ReadAllBytesAsync(PackFile, Token);
        Array.ForEach(offsets, offset => content[offset] ^= 1);
        await File.WriteAllBytesAsync(PackFile, content, Token);
    }

    /// <summary>The ranges that packs were asked for, in order.</summary>
    internal IEnumerable<string> OfPacks() => Of("read packs/");

    /// <summary>The ranges that shards were asked for, in order.</summary>
    internal IEnumerable<string> OfShards() => Of("read tensors/");

    private IEnumerable<string> Of(string kind) =>
        Store.Requests.Where(request => request.StartsWith(kind, StringComparison.Ordinal)).Select(request => request[(request.LastIndexOf(' ') + 1)..]).Order();
}
