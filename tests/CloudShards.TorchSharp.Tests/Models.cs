using TorchSharp.Modules;
using TorchSharp.Utils;
using static TorchSharp.torch;

namespace CloudShards.Tests;

/// <summary>Modules to save and load.</summary>
internal static class Models
{
    /// <summary>Names of <see cref="Make"/>.</summary>
    public static TheoryData<string> Names =>
        ["linear", "embedding", "lstm", "batch norm", "attention", "convolution", "nested", "tied", "empty"];

    /// <summary>A module with weights of its own, different on every call.</summary>
    public static nn.Module Make(string name) => Randomized(name switch
    {
        "linear" => nn.Linear(7, 5),
        "embedding" => nn.Embedding(11, 3),
        "lstm" => nn.LSTM(4, 6, numLayers: 2),
        "batch norm" => nn.BatchNorm1d(9),
        "attention" => nn.MultiheadAttention(8, 2),
        "convolution" => nn.Conv2d(3, 4, 3),
        "nested" => nn.Sequential(("in", nn.Linear(3, 4)), ("norm", nn.BatchNorm1d(4)), ("out", nn.Linear(4, 2))),
        "tied" => new TiedModel(),
        "empty" => new Holder(("nothing", zeros(0, 3)), ("scalar", tensor(2.5f))),
        _ => throw new ArgumentOutOfRangeException(nameof(name), name, "No such module."),
    });

    /// <summary>The bytes of each tensor of a module, row-major.</summary>
    public static Dictionary<string, byte[]> BytesOf(nn.Module module) =>
        module.state_dict().ToDictionary(entry => entry.Key, entry => BytesOf(entry.Value));

    /// <summary>The bytes of a tensor, row-major.</summary>
    public static byte[] BytesOf(Tensor tensor)
    {
        using var rowMajor = tensor.contiguous();
        return rowMajor.bytes.ToArray();
    }

    private static nn.Module Randomized(nn.Module module)
    {
        using var noGradient = no_grad();
        foreach (var tensor in module.state_dict().Values)
        {
            Random.Shared.NextBytes(tensor.bytes);
        }

        return module;
    }
}

/// <summary>A module of given buffers.</summary>
internal sealed class Holder : nn.Module
{
    public Holder(params (string Name, Tensor Tensor)[] tensors)
        : base(nameof(Holder))
    {
        foreach (var (name, tensor) in tensors)
        {
            register_buffer(name, tensor);
        }
    }
}

/// <summary>A module whose output layer has the weights of its input layer.</summary>
internal sealed class TiedModel : nn.Module
{
    [ComponentName(Name = "tokens")]
    private readonly Embedding _tokens = nn.Embedding(11, 4);

    [ComponentName(Name = "head")]
    private readonly Linear _head = nn.Linear(4, 11, hasBias: false);

    public TiedModel()
        : base(nameof(TiedModel))
    {
        RegisterComponents();
        _head.weight = _tokens.weight!;
    }
}
