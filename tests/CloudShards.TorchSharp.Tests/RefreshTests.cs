using CloudShards.Formats;
using static TorchSharp.torch;

namespace CloudShards.Tests;

public sealed class RefreshTests : IDisposable
{
    private readonly Folder _folder = new();

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task OnlyWhatChangedIsRead(bool isInPlace)
    {
        using var trained = Models.Make("nested");
        await using var first = await _folder.SaveAsync(trained);
        using var current = Models.Make("nested");
        await current.LoadShardsAsync(first, cancellationToken: Token);
        Change(trained.state_dict()["norm.weight"]);
        await using var second = await _folder.SaveAsync(trained);
        using var other = Models.Make("nested");
        var module = isInPlace ? current : other;
        _folder.TakeRead();

        var result = await module.RefreshShardsAsync(second, current, first.Manifest, cancellationToken: Token);

        Assert.Equal([StoreLayout.Shard(second["norm.weight"].Digest)], _folder.TakeRead());
        Assert.Equal(new(1, 16, trained.state_dict().Count - 1), result);
        Assert.Equal(Models.BytesOf(trained), Models.BytesOf(module));
    }

    [Fact]
    public async Task WhatTheCurrentModuleLacksIsRead()
    {
        using var trained = Models.Make("tied");
        await using var checkpoint = await _folder.SaveAsync(trained);
        using var unrelated = Models.Make("linear");
        using var module = Models.Make("tied");

        var result = await module.RefreshShardsAsync(checkpoint, unrelated, checkpoint.Manifest, cancellationToken: Token);

        Assert.Equal((1, 0), (result.TensorsRead, result.TensorsKept));
        Assert.Equal(Models.BytesOf(trained), Models.BytesOf(module));
    }

    [Fact]
    public async Task AVersionThatDoesNotFitChangesNothing()
    {
        using var trained = Models.Make("linear");
        await using var first = await _folder.SaveAsync(trained);
        using var larger = nn.Linear(7, 6);
        await using var second = await _folder.SaveAsync(larger);
        var before = Models.BytesOf(trained);

        await Assert.ThrowsAsync<StateDictMismatchException>(
            () => trained.RefreshShardsAsync(second, trained, first.Manifest, cancellationToken: Token));

        Assert.Equal(before, Models.BytesOf(trained));
    }

    private static void Change(Tensor tensor)
    {
        using var frozen = no_grad();
        tensor.bytes[0] ^= 1;
    }
}
