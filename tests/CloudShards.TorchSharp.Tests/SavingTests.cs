using System.Text;
using System.Text.Json;
using CloudShards.Formats;
using CloudShards.Testing;
using static TorchSharp.torch;

namespace CloudShards.Tests;

public sealed class SavingTests : IDisposable
{
    private readonly Folder _folder = new();

    [Fact]
    public async Task AnUnchangedModuleIsNotWrittenAgain()
    {
        using var module = Models.Make("nested");
        await using var first = await _folder.SaveAsync(module);
        _folder.TakeCreated();

        await using var second = await _folder.SaveAsync(module);

        Assert.Empty(_folder.TakeCreated());
        Assert.Equal(first.Reference, second.Reference);
    }

    [Fact]
    public async Task AChangedParameterIsTheOnlyShardWritten()
    {
        using var module = Models.Make("nested");
        await using var first = await _folder.SaveAsync(module);
        _folder.TakeCreated();
        module.state_dict()["out.bias"].bytes[0] ^= 1;

        await using var second = await _folder.SaveAsync(module);

        var manifest = StoreLayout.Manifest("model", second.Reference.Digest!.Value);
        Assert.Equal([StoreLayout.Shard(second["out.bias"].Digest), manifest], _folder.TakeCreated());
    }

    [Fact]
    public async Task TiedParametersShareTheirShard()
    {
        using var module = Models.Make("tied");

        await using var checkpoint = await _folder.SaveAsync(module);

        Assert.Equal(2, checkpoint.Tensors.Length);
        Assert.Equal(checkpoint["tokens.weight"].Digest, checkpoint["head.weight"].Digest);
        Assert.Equal(2, _folder.TakeCreated().Count);
    }

    [Fact]
    public async Task TheTagAndOptionsAreTheCallers()
    {
        using var module = Models.Make("linear");

        var options = new CheckpointWriterOptions { Metadata = new Dictionary<string, string> { ["epoch"] = "3" } };
        var reference = await module.SaveShardsToAsync(
            _folder, "team/model", "candidate", options, TestContext.Current.CancellationToken);

        await using var checkpoint = await _folder.OpenAsync("team/model:candidate");
        Assert.Equal(reference, checkpoint.Reference);
        Assert.Equal("3", checkpoint.Manifest.Metadata["epoch"]);
        await Assert.ThrowsAsync<CheckpointNotFoundException>(() => _folder.OpenAsync("team/model"));
    }

    [Theory]
    [MemberData(nameof(Models.Names), MemberType = typeof(Models))]
    public async Task WhatIsSavedConformsToThePublishedSchema(string name)
    {
        using var module = Models.Make(name);
        var options = new CheckpointWriterOptions { Metadata = new Dictionary<string, string> { ["é"] = "3" }, Values = JsonElement.Parse("""{"epoch":3}""") };

        await using var checkpoint = await _folder.SaveAsync(module, options: options);

        var manifest = await _folder.TryReadDocumentAsync(
            StoreLayout.Manifest("model", checkpoint.Reference.Digest!.Value), 1 << 20, TestContext.Current.CancellationToken);
        Assert.Empty(await ManifestSchema.FaultsAsync(Encoding.UTF8.GetString(manifest!.Content.Span)));
    }

    [Fact]
    public async Task ATensorThatCanHaveNoShardIsRefusedBeforeAnythingIsWritten()
    {
        using var module = new Holder(("fine", ones(2)), ("meta", zeros(2, device: META)));
        await AssertRefusedAsync(module, "The module's tensor `meta` cannot be saved: it is on the meta device");
    }

    [Fact]
    public async Task SparseTensorsAreRefused()
    {
        using var module = new Holder(("fine", ones(2)), ("sparse", eye(3).to_sparse()));
        await AssertRefusedAsync(module, "The module's tensor `sparse` cannot be saved: it is sparse");
    }

    [Fact]
    public async Task QuantisedTensorsAreRefused()
    {
        using var module = new Holder(("fine", ones(2)), ("quantised", quantize_per_tensor(ones(4), 0.1, 0, ScalarType.QInt8)));
        await AssertRefusedAsync(module, "The module's tensor `quantised` cannot be saved: its type is QInt8");
    }

    [Fact]
    public async Task ExpandedTensorsAreSavedInFull()
    {
        using var module = new Holder(("weight", arange(3).expand(4, 3)));

        await using var checkpoint = await _folder.SaveAsync(module);

        Assert.Equal(Digest.Of(Models.BytesOf(module)["weight"]), checkpoint["weight"].Digest);
    }

    [Fact]
    public async Task ABadTagIsRefusedBeforeAnythingIsWritten()
    {
        using var module = Models.Make("linear");

        await Assert.ThrowsAsync<FormatException>(
            () => module.SaveShardsToAsync(_folder, "model", "not a tag", cancellationToken: TestContext.Current.CancellationToken));

        Assert.Empty(_folder.TakeCreated());
    }

    [Fact]
    public async Task ACancelledTokenPublishesNothing()
    {
        using var module = Models.Make("linear");

        await Assert.ThrowsAnyAsync<OperationCanceledException>(
            () => module.SaveShardsToAsync(_folder, "model", cancellationToken: new(canceled: true)));

        await Assert.ThrowsAsync<CheckpointNotFoundException>(() => _folder.OpenAsync("model"));
    }

    public void Dispose() => _folder.Dispose();

    private async Task AssertRefusedAsync(nn.Module module, string beginning)
    {
        var exception = await Assert.ThrowsAsync<NotSupportedException>(() => _folder.SaveAsync(module));
        Assert.StartsWith(beginning, exception.Message, StringComparison.Ordinal);
        Assert.Empty(_folder.TakeCreated());
    }
}
