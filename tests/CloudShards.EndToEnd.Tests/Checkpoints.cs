using CloudShards.Formats;
using CloudShards.Testing;

namespace CloudShards.EndToEnd.Tests;

/// <summary>Files to upload.</summary>
internal static class Checkpoints
{
    /// <summary>A safetensors file of a few kilobytes: the same for the same seed, and not a byte of a tensor in common with another seed's.</summary>
    public static Task<BinaryData> SmallAsync(int seed = 0) => SafetensorsAsync(
        seed, new("fc.weight", TensorDType.F32, [16, 32]), new("fc.bias", TensorDType.F32, [16]), new("steps", TensorDType.I64, []));

    public static async Task<BinaryData> SafetensorsAsync(int seed, params SyntheticTensor[] tensors)
    {
        using var file = new MemoryStream();
        await new SyntheticCheckpoint([.. tensors], seed).WriteSafetensorsAsync(file, TestContext.Current.CancellationToken);
        return new(file.ToArray());
    }

    public static async Task<BinaryData> TorchZipAsync(int seed, params SyntheticTensor[] tensors)
    {
        using var file = new MemoryStream();
        await new SyntheticCheckpoint([.. tensors], seed).WriteTorchZipAsync(file, TestContext.Current.CancellationToken);
        return new(file.ToArray());
    }
}
