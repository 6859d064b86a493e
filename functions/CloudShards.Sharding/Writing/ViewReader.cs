using System.Runtime.CompilerServices;
using CloudShards.Formats;

namespace CloudShards.Sharding;

/// <summary>
/// Reads a tensor that is a view (transposed, strided, expanded) or is stored big-endian as if it were contiguous and little-endian. Each read costs
/// one pass over the part of the file that its elements lie in, or a read for each of them where they lie far apart: the fewer reads, the better.
/// </summary>
/// <param name="source">The file.</param>
/// <param name="tensor">The tensor.</param>
/// <param name="block">Where the file's bytes are read to, block by block; as long as the reader is used.</param>
internal sealed class ViewReader(ICheckpointSource source, TensorInfo tensor, Memory<byte> block)
{
    private readonly TensorGather _gather = new(tensor);

    /// <summary>Reads whole elements from byte <paramref name="offset"/> of the tensor's contiguous form on.</summary>
    public async ValueTask ReadAsync(long offset, Memory<byte> destination, CancellationToken cancellationToken)
    {
        if (destination.IsEmpty)
        {
            return;
        }

        var first = offset / _gather.ElementBytes;
        foreach (var range in _gather.BlocksOf(first, destination.Length / _gather.ElementBytes, block.Length))
        {
            var content = block[..(int)range.Length];
            await source.ReadAsync(range.Offset, content, cancellationToken).ConfigureAwait(false);
            _gather.Gather(first, destination.Span, range.Offset, content.Span);
        }

        _gather.Finish(destination.Span);
    }

    /// <summary>Reads the tensor, as much at a time as the window holds; each piece is valid until the next is asked for.</summary>
    public async IAsyncEnumerable<ReadOnlyMemory<byte>> ReadAllAsync(Memory<byte> window, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        for (var offset = 0L; offset < tensor.Bytes; offset += window.Length)
        {
            var piece = window[..(int)Math.Min(window.Length, tensor.Bytes - offset)];
            await ReadAsync(offset, piece, cancellationToken).ConfigureAwait(false);
            yield return piece;
        }
    }
}
