using System.Buffers;
using CloudShards.Formats;

namespace CloudShards.Sharding;

/// <summary>
/// Reads a tensor that is a view (transposed, strided, expanded) or is stored big-endian as if it were contiguous and little-endian, through a
/// window of bounded size. Each window costs one pass over the part of the file that its elements lie in,
/// or a read for each of them where they lie far apart.
/// </summary>
internal sealed class ViewReader : IDisposable
{
    private const int WindowBytes = ShardingOptions.BufferedBytes;

    private readonly ICheckpointSource _source;
    private readonly TensorGather _gather;
    private readonly long _bytes;
    private readonly byte[] _window;
    private readonly Memory<byte> _block;
    private ByteRange _filled;

    /// <summary>A reader of a tensor.</summary>
    /// <param name="source">The file.</param>
    /// <param name="tensor">The tensor.</param>
    /// <param name="block">Where the file's bytes are read to, block by block; as long as the reader is used.</param>
    public ViewReader(ICheckpointSource source, TensorInfo tensor, Memory<byte> block)
    {
        (_source, _gather, _bytes, _block) = (source, new(tensor), tensor.Bytes, block);
        _window = ArrayPool<byte>.Shared.Rent((int)Math.Min(WindowBytes, Math.Max(1, _bytes)));
    }

    /// <summary>Reads from byte <paramref name="offset"/> of the tensor's contiguous form on. Reads forward are cheap; one back costs its window again.</summary>
    public async ValueTask ReadAsync(long offset, Memory<byte> destination, CancellationToken cancellationToken)
    {
        while (!destination.IsEmpty)
        {
            if (offset < _filled.Offset || offset >= _filled.End)
            {
                await FillAsync(offset - (offset % WindowBytes), cancellationToken).ConfigureAwait(false);
            }

            var available = _window.AsMemory((int)(offset - _filled.Offset), (int)Math.Min(destination.Length, _filled.End - offset));
            available.CopyTo(destination);
            (offset, destination) = (offset + available.Length, destination[available.Length..]);
        }
    }

    public void Dispose() => ArrayPool<byte>.Shared.Return(_window);

    private async ValueTask FillAsync(long offset, CancellationToken cancellationToken)
    {
        var length = (int)Math.Min(WindowBytes, _bytes - offset);
        var first = offset / _gather.ElementBytes;
        foreach (var range in _gather.BlocksOf(first, length / _gather.ElementBytes, _block.Length))
        {
            var block = _block[..(int)range.Length];
            await _source.ReadAsync(range.Offset, block, cancellationToken).ConfigureAwait(false);
            _gather.Gather(first, _window.AsSpan(0, length), range.Offset, block.Span);
        }

        _gather.Finish(_window.AsSpan(0, length));
        _filled = new(offset, length);
    }
}
