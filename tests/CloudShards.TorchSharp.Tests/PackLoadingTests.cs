using CloudShards.Formats;
using static TorchSharp.torch;

namespace CloudShards.Tests;

/// <summary>Modules of many small tensors, which the pipeline has put in a pack.</summary>
public sealed class PackLoadingTests : IDisposable
{
    private readonly Folder _folder = new();

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public void Dispose() => _folder.Dispose();

    [Fact]
    public async Task AModuleOfSmallTensorsIsLoadedByOneRequest()
    {
        using var saved = Module(size => rand(size));
        using var module = Module(size => zeros(size));
        await using var checkpoint = await PackAsync(saved);

        await module.LoadShardsAsync(checkpoint, cancellationToken: Token);

        Assert.Equal(Models.BytesOf(saved), Models.BytesOf(module));
        Assert.Equal(StoreLayout.Pack(checkpoint.Manifest.Packs[0].Digest), Assert.Single(_folder.TakeRead()));
    }

    [Fact]
    public async Task TensorsThatAreNotContiguousAreReadFromThePackToo()
    {
        using var saved = Module(size => rand(size));
        using var module = Module(size => zeros([size[1], size[0]]).t());
        await using var checkpoint = await PackAsync(saved);

        await module.LoadShardsAsync(checkpoint, cancellationToken: Token);

        Assert.Equal(Models.BytesOf(saved), Models.BytesOf(module));
        Assert.Single(_folder.TakeRead());
    }

    private static Holder Module(Func<long[], Tensor> make) => new([.. Enumerable.Range(0, 30).Select(i => ($"t{i}", make([i + 2, 3])))]);

    private async Task<ShardedCheckpoint> PackAsync(Holder saved)
    {
        await using var plain = await _folder.SaveAsync(saved);
        var bytes = Models.BytesOf(saved);
        var (content, places) = (new MemoryStream(), new List<PackedTensor>());
        foreach (var tensor in plain.Tensors)
        {
            places.Add(new(tensor.Name, content.Length));
            await content.WriteAsync(bytes[tensor.Name], Token);
        }

        var pack = Digest.Of(content.ToArray());
        var manifest = (plain.Manifest with { Packs = [new(pack, content.Length, [.. places])] }).ToUtf8();
        var reference = CheckpointReference.ForDigest("model", Digest.Of(manifest));
        await _folder.TryCreateAsync(StoreLayout.Pack(pack), content.ToArray(), Token);
        await _folder.TryCreateAsync(StoreLayout.Manifest("model", reference.Digest!.Value), manifest, Token);
        _folder.TakeRead();
        return await _folder.OpenAsync(reference.ToString());
    }
}
