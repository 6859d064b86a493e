using CloudShards.Formats;

namespace CloudShards;

/// <summary>A run of a tensor's bytes, or of those of a part of it, and where they go.</summary>
/// <param name="Tensor">The tensor, one of the checkpoint's own.</param>
/// <param name="Offset">The first byte, counted from the start of the tensor, or of the packed <paramref name="Slice"/>.</param>
/// <param name="Destination">Where the bytes go; its length is how many are read.</param>
/// <param name="Slice">The part of the tensor that is meant; null for all of it.</param>
public readonly record struct ShardRead(ShardedTensor Tensor, long Offset, Memory<byte> Destination, TensorSlice? Slice = null)
{
    /// <summary>Where it goes piece by piece; null where it goes to <see cref="Destination"/>.</summary>
    internal ShardTarget? Target { get; private init; }

    /// <summary>How many bytes are read.</summary>
    internal long Length => Target is null ? Destination.Length : Tensor.Bytes;

    /// <summary>Whether it is all of the tensor.</summary>
    internal bool IsWhole => Slice is null && Offset == 0 && Length == Tensor.Bytes;

    /// <summary>The whole of a tensor, piece by piece.</summary>
    internal static ShardRead Into(ShardTarget target) => new(target.Tensor, 0, default) { Target = target };

    /// <summary>The whole of a slice, which must be as long as <paramref name="destination"/>.</summary>
    /// <param name="slice">The part of a tensor.</param>
    /// <param name="destination">Where the bytes go.</param>
    /// <exception cref="ArgumentException">The lengths differ.</exception>
    public static ShardRead Whole(TensorSlice slice, Memory<byte> destination)
    {
        ArgumentNullException.ThrowIfNull(slice);
        return destination.Length == slice.Bytes
            ? new(slice.Tensor, 0, destination, slice)
            : throw Errors.DestinationLength($"{slice.Tensor.Name}{slice.Shape}", slice.Bytes, destination.Length, nameof(destination));
    }

    /// <summary>The whole of a tensor, which must be as long as <paramref name="destination"/>.</summary>
    /// <param name="tensor">The tensor, one of the checkpoint's own.</param>
    /// <param name="destination">Where the bytes go.</param>
    /// <exception cref="ArgumentException">The lengths differ.</exception>
    public static ShardRead Whole(ShardedTensor tensor, Memory<byte> destination)
    {
        ArgumentNullException.ThrowIfNull(tensor);
        return destination.Length == tensor.Bytes
            ? new(tensor, 0, destination)
            : throw Errors.DestinationLength(tensor.Name, tensor.Bytes, destination.Length, nameof(destination));
    }
}

/// <summary>How far reads have come.</summary>
/// <param name="BytesRead">Bytes that have arrived and been verified.</param>
/// <param name="BytesTotal">All bytes to read, or null where the reads are not known beforehand.</param>
/// <param name="TensorsRead">Tensors of which every byte has arrived. A <see cref="ShardRead"/> of less than a tensor counts as one.</param>
/// <param name="TensorsTotal">All tensors to read, counted likewise, or null where the reads are not known beforehand.</param>
/// <param name="Elapsed">Time since the reads began.</param>
public readonly record struct ShardProgress(long BytesRead, long? BytesTotal, int TensorsRead, int? TensorsTotal, TimeSpan Elapsed)
{
    /// <summary>The rate so far; 0 where no time has passed.</summary>
    public double BytesPerSecond => Elapsed > TimeSpan.Zero ? BytesRead / Elapsed.TotalSeconds : 0;
}
