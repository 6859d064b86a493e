using CloudShards.Formats;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace CloudShards.Tests;

public sealed class RoundTripTests : IDisposable
{
    private readonly Folder _folder = new();

    public static TheoryData<string> Modules => Models.Names;

    /// <summary>Dtypes that TorchSharp holds.</summary>
    public static TheoryData<TensorDType> DTypes =>
        [.. Enum.GetValues<TensorDType>().Except([TensorDType.F4, TensorDType.F6E2M3, TensorDType.F6E3M2])];

    [Theory]
    [MemberData(nameof(Modules))]
    public async Task AModuleTakesOnTheBytesOfTheOneThatWasSaved(string name)
    {
        using var saved = Models.Make(name);
        using var loaded = Models.Make(name);
        Assert.NotEqual(Models.BytesOf(saved), Models.BytesOf(loaded));

        await using var checkpoint = await _folder.SaveAsync(saved);
        var result = await loaded.LoadShardsAsync(checkpoint, cancellationToken: TestContext.Current.CancellationToken);

        Assert.Equal(Models.BytesOf(saved), Models.BytesOf(loaded));
        Assert.Empty(result.Missing);
        Assert.Empty(result.Unexpected);
    }

    [Theory]
    [MemberData(nameof(Modules))]
    public async Task TheManifestListsTheTensorsInTheOrderOfTheModule(string name)
    {
        using var module = Models.Make(name);

        await using var checkpoint = await _folder.SaveAsync(module);

        Assert.Equal(module.state_dict().Keys, checkpoint.Tensors.Select(tensor => tensor.Name));
    }

    [Theory]
    [MemberData(nameof(Modules))]
    public async Task APrefixNamesThePartOfACheckpointThatIsLoaded(string name)
    {
        using var saved = Models.Make(name);
        using var loaded = Models.Make(name);
        using var whole = new Pair(saved, nn.Linear(2, 2));
        await using var checkpoint = await _folder.SaveAsync(whole);

        await loaded.LoadShardsAsync(checkpoint, new() { Prefix = "model." }, cancellationToken: TestContext.Current.CancellationToken);

        Assert.Equal(Models.BytesOf(saved), Models.BytesOf(loaded));
    }

    [Theory]
    [MemberData(nameof(DTypes))]
    public async Task EveryDTypeKeepsItsBytes(TensorDType dtype)
    {
        Assert.True(dtype.TryGetScalarType(out var scalarType));
        using var saved = new Holder(("weight", empty(5, 3, dtype: scalarType)));
        using var loaded = new Holder(("weight", empty(5, 3, dtype: scalarType)));
        var bytes = Enumerable.Range(0, 15 * dtype.Bits() / 8).Select(i => (byte)(dtype == TensorDType.Bool ? i % 2 : i)).ToArray();
        bytes.CopyTo(saved.state_dict()["weight"].bytes);

        await using var checkpoint = await _folder.SaveAsync(saved);
        await loaded.LoadShardsAsync(checkpoint, cancellationToken: TestContext.Current.CancellationToken);
        using var alone = checkpoint.AsStateDict()["weight"];

        Assert.Equal(dtype, checkpoint["weight"].DType);
        Assert.Equal(Digest.Of(bytes), checkpoint["weight"].Digest);
        Assert.Equal(bytes, loaded.state_dict()["weight"].bytes);
        Assert.Equal(bytes, alone.bytes);
        Assert.Equal(scalarType, alone.dtype);
    }

    [Fact]
    public async Task NativeModulesComputeWithWhatWasLoaded()
    {
        using var saved = (LSTM)Models.Make("lstm");
        using var loaded = (LSTM)Models.Make("lstm");
        using var input = rand(2, 3, 4);
        foreach (var weights in saved.state_dict().Values)
        {
            weights.detach().uniform_(-1, 1);
        }

        await using var checkpoint = await _folder.SaveAsync(saved);
        await loaded.LoadShardsAsync(checkpoint, cancellationToken: TestContext.Current.CancellationToken);
        var (expected, _, _) = saved.forward(input);
        var (found, _, _) = loaded.forward(input);

        Assert.Equal(Models.BytesOf(expected.detach()), Models.BytesOf(found.detach()));
    }

    [Fact]
    public async Task ParametersStillTakeGradientsAfterwards()
    {
        using var saved = (Linear)Models.Make("linear");
        using var loaded = nn.Linear(7, 5);
        await using var checkpoint = await _folder.SaveAsync(saved);

        await loaded.LoadShardsAsync(checkpoint, cancellationToken: TestContext.Current.CancellationToken);
        using var loss = loaded.forward(ones(2, 7)).sum();
        loss.backward();

        Assert.NotNull(loaded.weight.grad);
    }

    public void Dispose() => _folder.Dispose();

    private sealed class Pair : nn.Module
    {
        public Pair(nn.Module model, nn.Module other)
            : base(nameof(Pair))
        {
            register_module("model", model);
            register_module("other", other);
        }
    }
}
