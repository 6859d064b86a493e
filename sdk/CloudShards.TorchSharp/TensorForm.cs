using System.Diagnostics.CodeAnalysis;
using CloudShards.Formats;
using TorchSharp;
using static TorchSharp.torch;

namespace CloudShards;

/// <summary>What a tensor and its shard must have in common.</summary>
/// <param name="DType">The type of the elements.</param>
/// <param name="Shape">The sizes.</param>
internal readonly record struct TensorForm(TensorDType DType, TensorShape Shape)
{
    /// <summary>The form of a tensor's shard, or the reason why it can have none.</summary>
    public static bool TryOf(Tensor tensor, out TensorForm form, [NotNullWhen(false)] out string? reason)
    {
        var isHeld = tensor.dtype.TryGetDType(out var dtype);
        form = new(dtype, TensorShape.Create(tensor.shape));
        reason = tensor.device_type == DeviceType.META ? Errors.OnMetaDevice
            : tensor.is_sparse ? Errors.Sparse
            : isHeld ? null : Errors.NoDType(tensor.dtype);
        return reason is null;
    }

    /// <summary>As in <c>F32 [4096, 1024]</c>.</summary>
    public override string ToString() => $"{DType.Name()} {Shape}";
}
