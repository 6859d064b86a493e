using System.Buffers;
using CloudShards.Formats;
using static TorchSharp.torch;

namespace CloudShards;

/// <summary>A <see cref="TensorMemory.IsShardLike">shard-like</see> tensor, which bytes are read straight into.</summary>
internal sealed class InPlaceTarget(ShardedTensor source, Tensor tensor) : ShardTarget(source)
{
    private readonly nint _address = TensorMemory.Address(tensor);

    public override bool IsStaged => false;

    public override IMemoryOwner<byte> Open(long offset, int length) => new TensorMemory(tensor, (nint)(_address + offset), length);

    public override void Settle(long offset, IMemoryOwner<byte> piece)
    {
    }
}
