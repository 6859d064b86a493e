using CloudShards.Formats;
using static TorchSharp.torch;

namespace CloudShards.Benchmarks.Contenders;

/// <summary>The SDK into the parameters of a TorchSharp module, in place.</summary>
internal sealed class ModuleLoad : IContender
{
    public string Name => "SDK into a TorchSharp module";

    public async Task<Job> PrepareAsync(Arena arena, Traffic traffic, CancellationToken cancellationToken)
    {
        var checkpoint = await arena.OpenAsync(traffic, cancellationToken);
        var module = new FlatModule(checkpoint.Tensors);
        return new(checkpoint.Tensors.Sum(tensor => tensor.Bytes), token => module.LoadShardsAsync(checkpoint, cancellationToken: token));
    }

    /// <summary>A module whose parameters are those of a checkpoint.</summary>
    private sealed class FlatModule : nn.Module
    {
        public FlatModule(IEnumerable<ShardedTensor> tensors)
            : base(nameof(FlatModule))
        {
            foreach (var tensor in tensors)
            {
                var values = ones([.. tensor.Shape.Sizes], dtype: ScalarType.BFloat16);
                NativeBytes.Touch(values.bytes);
                register_parameter(tensor.Name, new(values, requires_grad: false));
            }
        }
    }
}
