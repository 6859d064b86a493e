using System.Buffers;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using TorchSharp;
using static TorchSharp.torch;

namespace CloudShards;

/// <summary>A run of a tensor's own bytes. It keeps the tensor from being collected, not from being disposed.</summary>
internal sealed unsafe class TensorMemory : MemoryManager<byte>
{
    private readonly Tensor _tensor;
    private readonly nint _start;
    private readonly int _length;

    /// <summary>The memory of so many bytes at an address, which are a tensor's own.</summary>
    public TensorMemory(Tensor tensor, nint start, int length) => (_tensor, _start, _length) = (tensor, start, length);

    /// <summary>Whether a tensor's memory holds what its shard does: on the CPU, row-major, no negation or conjugation pending.</summary>
    public static bool IsShardLike(Tensor tensor) =>
        tensor.device_type == DeviceType.CPU && !tensor.is_sparse && tensor.is_contiguous() && !tensor.is_conj() && !tensor.is_neg();

    /// <summary>Where the bytes of a <see cref="IsShardLike">shard-like</see> tensor start; 0 for one without elements.</summary>
    public static nint Address(Tensor tensor)
    {
        if (tensor.numel() == 0)
        {
            return 0;
        }

        // `bytes` refuses tensors above 2 GiB, so it is asked for the first element alone.
        using var elements = tensor.view(-1);
        using var first = elements.narrow(0, 0, 1);
        return (nint)Unsafe.AsPointer(ref MemoryMarshal.GetReference(first.bytes));
    }

    /// <summary>How many bytes the elements of a tensor take, packed.</summary>
    public static long Bytes(Tensor tensor) => tensor.numel() * tensor.ElementSize;

    /// <summary>Some of the bytes of a <see cref="IsShardLike">shard-like</see> tensor.</summary>
    public static Memory<byte> Slice(Tensor tensor, long offset, int length) =>
        length == 0 ? default : new TensorMemory(tensor, (nint)(Address(tensor) + offset), length).Memory;

    /// <inheritdoc/>
    public override Span<byte> GetSpan() => new((void*)_start, _length);

    /// <inheritdoc/>
    public override MemoryHandle Pin(int elementIndex = 0)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan((uint)elementIndex, (uint)_length, nameof(elementIndex));
        return new((byte*)_start + elementIndex, pinnable: this);
    }

    /// <inheritdoc/>
    public override void Unpin()
    {
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing) => GC.KeepAlive(_tensor);
}
