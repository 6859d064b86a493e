using System.Buffers;
using CloudShards.Formats;
using static TorchSharp.torch;

namespace CloudShards;

/// <summary>A tensor that cannot be read in place: a row-major run of its elements at a time is read beside it, and copied.</summary>
internal sealed class StagedTarget(ShardedTensor source, Tensor tensor) : ShardTarget(source)
{
    private readonly int _elementBytes = source.DType.Bits() / 8;

    public override bool IsStaged => true;

    public override IMemoryOwner<byte> Open(long offset, int length) => new Run(empty(length / _elementBytes, dtype: tensor.dtype, device: CPU));

    public override void Settle(long offset, IMemoryOwner<byte> piece) => ElementRuns.Scatter(tensor, offset / _elementBytes, ((Run)piece).Elements);

    private sealed class Run : IMemoryOwner<byte>
    {
        public Run(Tensor elements)
        {
            // It lives across awaits, so it must not end with a dispose scope of the thread that happens to make it.
            Elements = elements.DetachFromDisposeScope();
            Memory = TensorMemory.Slice(elements, 0, (int)TensorMemory.Bytes(elements));
        }

        public Tensor Elements { get; }

        public Memory<byte> Memory { get; }

        public void Dispose() => Elements.Dispose();
    }
}
