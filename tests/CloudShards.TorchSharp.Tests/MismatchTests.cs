using CloudShards.Formats;
using static TorchSharp.torch;

namespace CloudShards.Tests;

public sealed class MismatchTests : IDisposable
{
    private readonly Folder _folder = new();

    [Fact]
    public async Task EverythingThatDiffersIsListedAndNothingIsTouched()
    {
        using var saved = new Holder(
            ("same", ones(4)),
            ("shape", ones(2, 3)),
            ("dtype", ones(3, dtype: ScalarType.Float64)),
            ("broadcast", ones(1)),
            ("unexpected", ones(1)));
        using var module = new Holder(
            ("same", zeros(4)),
            ("shape", zeros(3, 2)),
            ("dtype", zeros(3)),
            ("broadcast", zeros(2, 2)),
            ("missing", zeros(1)),
            ("absent", zeros(1)));
        var before = Models.BytesOf(module);
        await using var checkpoint = await _folder.SaveAsync(saved, "trained");
        _folder.TakeRead();

        var exception = await Assert.ThrowsAsync<StateDictMismatchException>(() => LoadAsync(module, checkpoint));

        Assert.Equal(["missing", "absent"], exception.Missing);
        Assert.Equal(["unexpected"], exception.Unexpected);
        Assert.Equal(
            [
                new("shape", "expected F32 [3, 2], found F32 [2, 3]"),
                new("dtype", "expected F32 [3], found F64 [3]"),
                new("broadcast", "expected F32 [2, 2], found F32 [1]"),
            ],
            exception.Mismatched);
        Assert.Equal(
            $"The checkpoint `{checkpoint.Reference}` does not fit the module, and nothing of the module was changed. "
            + "The checkpoint lacks `missing`, `absent`. The module lacks `unexpected`. "
            + "Both have, but differently, `shape` (expected F32 [3, 2], found F32 [2, 3]), `dtype` (expected F32 [3], found F64 [3]), "
            + "`broadcast` (expected F32 [2, 2], found F32 [1]). "
            + "Load it into the module that it was saved from, or see `ModuleLoadOptions`.",
            exception.Message);
        Assert.Equal(before, Models.BytesOf(module));
        Assert.Empty(_folder.TakeRead());
    }

    [Fact]
    public async Task WhatMayDifferIsReturned()
    {
        using var saved = new Holder(("same", ones(4)), ("unexpected", ones(1)));
        using var module = new Holder(("same", zeros(4)), ("missing", zeros(1)));
        await using var checkpoint = await _folder.SaveAsync(saved);

        var result = await LoadAsync(module, checkpoint, new() { AllowMissing = true, AllowUnexpected = true });

        Assert.Equal(["missing"], result.Missing);
        Assert.Equal(["unexpected"], result.Unexpected);
        Assert.Equal(Models.BytesOf(saved)["same"], Models.BytesOf(module)["same"]);
    }

    [Theory]
    [InlineData(true, false)]
    [InlineData(false, true)]
    public async Task EachLeniencyIsItsOwn(bool allowMissing, bool allowUnexpected)
    {
        using var saved = new Holder(("unexpected", ones(1)));
        using var module = new Holder(("missing", zeros(1)));
        await using var checkpoint = await _folder.SaveAsync(saved);

        var exception = await Assert.ThrowsAsync<StateDictMismatchException>(
            () => LoadAsync(module, checkpoint, new() { AllowMissing = allowMissing, AllowUnexpected = allowUnexpected }));

        Assert.Equal(allowMissing, exception.Missing.IsEmpty);
        Assert.Equal(allowUnexpected, exception.Unexpected.IsEmpty);
    }

    [Fact]
    public async Task NoLeniencyAdmitsAnotherShape()
    {
        using var saved = new Holder(("weight", ones(4)));
        using var module = new Holder(("weight", zeros(5)));
        await using var checkpoint = await _folder.SaveAsync(saved);

        await Assert.ThrowsAsync<StateDictMismatchException>(
            () => LoadAsync(module, checkpoint, new() { AllowMissing = true, AllowUnexpected = true }));
    }

    [Fact]
    public async Task ALongListIsCutInTheMessageAlone()
    {
        using var saved = new Holder();
        using var module = new Holder([.. Enumerable.Range(0, 25).Select(i => ($"weight{i}", zeros(1)))]);
        await using var checkpoint = await _folder.SaveAsync(saved);

        var exception = await Assert.ThrowsAsync<StateDictMismatchException>(() => LoadAsync(module, checkpoint));

        Assert.Equal(25, exception.Missing.Length);
        Assert.Contains("`weight19` and 5 more (`Missing` has all).", exception.Message, StringComparison.Ordinal);
        Assert.DoesNotContain("weight20", exception.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task TensorsWithoutMemoryAreRefused()
    {
        using var saved = nn.Linear(3, 2);
        using var module = nn.Linear(3, 2, device: META);
        await using var checkpoint = await _folder.SaveAsync(saved);

        var exception = await Assert.ThrowsAsync<StateDictMismatchException>(() => LoadAsync(module, checkpoint));

        Assert.Equal(["weight", "bias"], exception.Mismatched.Select(mismatch => mismatch.Name));
        Assert.All(exception.Mismatched, mismatch => Assert.Contains("meta device", mismatch.Reason, StringComparison.Ordinal));
    }

    [Fact]
    public async Task TensorsWhoseElementsShareMemoryAreRefused()
    {
        using var saved = new Holder(("weight", ones(4, 3)));
        using var module = new Holder(("weight", zeros(3).expand(4, 3)));
        await using var checkpoint = await _folder.SaveAsync(saved);

        var exception = await Assert.ThrowsAsync<StateDictMismatchException>(() => LoadAsync(module, checkpoint));

        Assert.Contains("expanded", Assert.Single(exception.Mismatched).Reason, StringComparison.Ordinal);
    }

    [Fact]
    public async Task QuantisedTensorsAreRefused()
    {
        using var saved = new Holder(("weight", ones(4, dtype: ScalarType.Int8)));
        using var module = new Holder(("weight", quantize_per_tensor(ones(4), 0.1, 0, ScalarType.QInt8)));
        await using var checkpoint = await _folder.SaveAsync(saved);

        var exception = await Assert.ThrowsAsync<StateDictMismatchException>(() => LoadAsync(module, checkpoint));

        Assert.Contains("QInt8", Assert.Single(exception.Mismatched).Reason, StringComparison.Ordinal);
    }

    [Fact]
    public async Task TiedParametersAreReadOnce()
    {
        using var saved = Models.Make("tied");
        using var module = new TiedModel();
        await using var checkpoint = await _folder.SaveAsync(saved);
        _folder.TakeRead();

        await LoadAsync(module, checkpoint);

        Assert.Equal([StoreLayout.Shard(checkpoint["tokens.weight"].Digest)], _folder.TakeRead());
    }

    [Fact]
    public async Task ATiedParameterIsThereUnderAnyOfItsNames()
    {
        using var saved = new Holder(("tokens", rand(11, 4)));
        using var weight = zeros(11, 4);
        using var module = new Holder(("head", weight), ("tokens", weight.alias()));
        await using var checkpoint = await _folder.SaveAsync(saved);

        var result = await LoadAsync(module, checkpoint);

        Assert.Empty(result.Missing);
        Assert.Equal(Models.BytesOf(saved)["tokens"], Models.BytesOf(module)["head"]);
    }

    [Fact]
    public async Task TiedParametersWithDifferentShardsAreRefused()
    {
        using var saved = new Holder(("tokens", zeros(11, 4)), ("head", ones(11, 4)));
        using var weight = rand(11, 4);
        using var module = new Holder(("tokens", weight), ("head", weight.alias()));
        var before = Models.BytesOf(module);
        await using var checkpoint = await _folder.SaveAsync(saved);

        var exception = await Assert.ThrowsAsync<StateDictMismatchException>(() => LoadAsync(module, checkpoint));

        var mismatch = Assert.Single(exception.Mismatched);
        Assert.Equal("head", mismatch.Name);
        Assert.Contains("shares its memory with `tokens`", mismatch.Reason, StringComparison.Ordinal);
        Assert.Equal(before, Models.BytesOf(module));
    }

    [Fact]
    public async Task TensorsWithoutElementsAreNotTakenForTied()
    {
        using var saved = new Holder(("a", zeros(0)));
        using var module = new Holder(("a", zeros(0)), ("b", zeros(0)));
        await using var checkpoint = await _folder.SaveAsync(saved);

        var exception = await Assert.ThrowsAsync<StateDictMismatchException>(() => LoadAsync(module, checkpoint));

        Assert.Equal(["b"], exception.Missing);
    }

    public void Dispose() => _folder.Dispose();

    private static Task<ModuleLoadResult> LoadAsync(nn.Module module, ShardedCheckpoint checkpoint, ModuleLoadOptions? options = null) =>
        module.LoadShardsAsync(checkpoint, options, cancellationToken: TestContext.Current.CancellationToken);
}
