using System.Buffers;
using CloudShards.Formats;

namespace CloudShards;

/// <summary>
/// Where a whole tensor goes that is not one piece of memory: it is above 2 GiB, or lies where nothing can be read to, as on another
/// device. <see cref="ShardedCheckpoint.ReadIntoAsync"/> reads it piece by piece. A piece is opened once its request may run, settled once
/// its bytes are there and verified, and disposed of in every case, once nobody uses it any more. Several pieces are open at once.
/// </summary>
/// <param name="tensor">The tensor, one of the checkpoint's own.</param>
public abstract class ShardTarget(ShardedTensor tensor)
{
    /// <summary>The tensor.</summary>
    public ShardedTensor Tensor { get; } = tensor;

    /// <summary>
    /// Whether pieces take memory of their own. Those of one call together then have at most 64 MiB, or one piece of the length of a chunk
    /// where that is more, and each begins and ends between elements.
    /// </summary>
    public abstract bool IsStaged { get; }

    /// <summary>Memory for <paramref name="length"/> bytes of the tensor from <paramref name="offset"/> on.</summary>
    public abstract IMemoryOwner<byte> Open(long offset, int length);

    /// <summary>
    /// Puts a piece that <see cref="Open"/> gave to its place. Its chunks are verified by then; its digest, where that is asked for, is
    /// known at the end of the call. Different pieces may be settled at once.
    /// </summary>
    public abstract void Settle(long offset, IMemoryOwner<byte> piece);
}
