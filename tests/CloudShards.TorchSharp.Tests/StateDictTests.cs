using CloudShards.Formats;
using static TorchSharp.torch;

namespace CloudShards.Tests;

public sealed class StateDictTests : IDisposable
{
    private readonly Folder _folder = new();

    [Fact]
    public async Task KeysAndCountReadNothing()
    {
        using var module = Models.Make("nested");
        await using var checkpoint = await _folder.SaveAsync(module);
        _folder.TakeRead();

        var stateDict = checkpoint.AsStateDict();

        Assert.Equal(module.state_dict().Keys, stateDict.Keys);
        Assert.Equal(module.state_dict().Count, stateDict.Count);
        Assert.True(stateDict.ContainsKey("in.weight"));
        Assert.False(stateDict.TryGetValue("in.weights", out _));
        Assert.Empty(_folder.TakeRead());
    }

    [Fact]
    public async Task AccessReadsTheOneTensor()
    {
        using var module = Models.Make("nested");
        await using var checkpoint = await _folder.SaveAsync(module);
        var stateDict = checkpoint.AsStateDict();
        _folder.TakeRead();

        using var weight = stateDict["in.weight"];

        Assert.Equal([StoreLayout.Shard(checkpoint["in.weight"].Digest)], _folder.TakeRead());
        Assert.Equal(Models.BytesOf(module)["in.weight"], weight.bytes);
        Assert.Equal([4, 3], weight.shape);
        Assert.False(weight.requires_grad);
    }

    [Fact]
    public async Task EachAccessGivesATensorOfItsOwn()
    {
        using var module = Models.Make("linear");
        await using var checkpoint = await _folder.SaveAsync(module);
        var stateDict = checkpoint.AsStateDict();

        using var first = stateDict["weight"];
        Assert.True(stateDict.TryGetValue("weight", out var second));
        first.zero_();

        Assert.Equal(Models.BytesOf(module)["weight"], second.bytes);
        second.Dispose();
    }

    [Fact]
    public async Task EnumerationReadsStepByStep()
    {
        using var module = Models.Make("nested");
        await using var checkpoint = await _folder.SaveAsync(module);
        var stateDict = checkpoint.AsStateDict();
        _folder.TakeRead();

        foreach (var (name, tensor) in stateDict)
        {
            using (tensor)
            {
                Assert.Single(_folder.TakeRead());
                Assert.Equal(Models.BytesOf(module)[name], tensor.bytes);
            }
        }

        Assert.Empty(_folder.TakeRead());
    }

    [Fact]
    public async Task APrefixIsTakenOffTheNames()
    {
        using var module = Models.Make("nested");
        await using var checkpoint = await _folder.SaveAsync(module);

        var stateDict = checkpoint.AsStateDict("out.");
        using var bias = stateDict["bias"];

        Assert.Equal(["weight", "bias"], stateDict.Keys);
        Assert.Equal(2, stateDict.Count);
        Assert.False(stateDict.ContainsKey("in.weight"));
        Assert.Equal(Models.BytesOf(module)["out.bias"], bias.bytes);
    }

    [Fact]
    public async Task ModulesOfTorchSharpTakeIt()
    {
        using var saved = Models.Make("nested");
        using var module = Models.Make("nested");
        await using var checkpoint = await _folder.SaveAsync(saved);

        using (NewDisposeScope())
        {
            module.load_state_dict(checkpoint.AsStateDict().ToDictionary());
        }

        Assert.Equal(Models.BytesOf(saved), Models.BytesOf(module));
    }

    [Fact]
    public async Task AnUnknownNameIsRefused()
    {
        using var module = Models.Make("linear");
        await using var checkpoint = await _folder.SaveAsync(module);

        Assert.Throws<KeyNotFoundException>(() => checkpoint.AsStateDict()["weights"]);
    }

    [Theory]
    [InlineData(TensorDType.F4)]
    [InlineData(TensorDType.F6E2M3)]
    [InlineData(TensorDType.F6E3M2)]
    public async Task ADTypeBelowAByteIsRefusedWhenItIsAskedFor(TensorDType dtype)
    {
        var writer = new CheckpointWriter(_folder, "model");
        await writer.WriteTensorAsync("packed", dtype, [8], new byte[8 * dtype.Bits() / 8], TestContext.Current.CancellationToken);
        await writer.PublishAsync(cancellationToken: TestContext.Current.CancellationToken);
        await using var checkpoint = await _folder.OpenAsync("model");
        var stateDict = checkpoint.AsStateDict();

        Assert.Equal(["packed"], stateDict.Keys);
        var exception = Assert.Throws<NotSupportedException>(() => stateDict["packed"]);
        Assert.StartsWith(
            $"The tensor `packed` is {dtype.Name()}, which TorchSharp cannot hold.", exception.Message, StringComparison.Ordinal);
    }

    public void Dispose() => _folder.Dispose();
}
