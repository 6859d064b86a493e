using System.Collections.Immutable;
using CloudShards.Formats;
using static TorchSharp.torch;

namespace CloudShards;

/// <summary>A tensor of a module that is to be written.</summary>
/// <param name="Name">The module's name for it.</param>
/// <param name="Form">Dtype and shape of its shard.</param>
/// <param name="Tensor">The tensor.</param>
internal sealed record SavedTensor(string Name, TensorForm Form, Tensor Tensor)
{
    /// <summary>A module's tensors, in its order.</summary>
    /// <exception cref="NotSupportedException">One can have no shard.</exception>
    public static ImmutableArray<SavedTensor> AllOf(IReadOnlyDictionary<string, Tensor> stateDict) =>
        [.. stateDict.Select(entry => TensorForm.TryOf(entry.Value, out var form, out var reason)
            ? new SavedTensor(entry.Key, form, entry.Value)
            : throw Errors.NotSaved(entry.Key, reason))];

    /// <summary>Writes the tensor: from where it is, or copied piece by piece where its memory is not what a shard holds.</summary>
    public Task WriteAsync(CheckpointWriter writer, CancellationToken cancellationToken)
    {
        if (!TensorMemory.IsShardLike(Tensor))
        {
            return writer.WriteTensorFromAsync(Name, Form.DType, Form.Shape, GatherAsync, cancellationToken);
        }

        return TensorMemory.Bytes(Tensor) is var bytes and <= int.MaxValue
            ? writer.WriteTensorAsync(Name, Form.DType, Form.Shape, TensorMemory.Slice(Tensor, 0, (int)bytes), cancellationToken)
            : writer.WriteTensorFromAsync(Name, Form.DType, Form.Shape, CopyAsync, cancellationToken);
    }

    private ValueTask CopyAsync(long offset, Memory<byte> destination, CancellationToken cancellationToken)
    {
        TensorMemory.Slice(Tensor, offset, destination.Length).CopyTo(destination);
        return ValueTask.CompletedTask;
    }

    // A piece may begin and end within an element.
    private ValueTask GatherAsync(long offset, Memory<byte> destination, CancellationToken cancellationToken)
    {
        var elementBytes = Form.DType.Bits() / 8;
        var first = offset / elementBytes;
        var end = (offset + destination.Length + elementBytes - 1) / elementBytes;
        using var run = empty(end - first, dtype: Tensor.dtype, device: CPU);
        ElementRuns.Gather(Tensor, first, run);
        TensorMemory.Slice(run, offset - (first * elementBytes), destination.Length).CopyTo(destination);
        return ValueTask.CompletedTask;
    }
}
