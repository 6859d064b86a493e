using System.Collections.Immutable;

namespace CloudShards.Formats;

/// <summary>
/// Turns a tensor whose elements are scattered over its file, or stored otherwise than it shows them, into contiguous, row-major,
/// little-endian bytes, window by window and block by block, so that neither the tensor nor its storage need ever be in memory whole.
/// </summary>
/// <example>
/// A window of the tensor is complete once every block of <see cref="BlocksOf"/> was gathered into it and it was finished:
/// <code>
/// foreach (var block in gather.BlocksOf(first, count, maxBlockBytes))
/// {
///     gather.Gather(first, window, block.Offset, bytes of block);
/// }
///
/// gather.Finish(window);
/// </code>
/// </example>
public sealed class TensorGather
{
    /// <summary>Bytes of the windows that <see cref="CheckpointLimits.MaxGatherPasses"/> is counted by: 16 MiB.</summary>
    public const int WindowBytes = 16 << 20;

    /// <summary>Elements of a window that lie further apart than this, 256 KiB, are read one by one.</summary>
    public const int MaxGap = 256 << 10;

    // Of more elements the places are not listed: the window's whole run is read.
    private const int MaxScattered = 64 << 10;

    private readonly TensorInfo _tensor;
    private readonly ImmutableArray<long> _strides;
    private readonly long[] _innerCount;
    private readonly long[] _innerExtent;

    /// <summary>A gather of one tensor.</summary>
    /// <exception cref="ArgumentException">Its elements are smaller than a byte.</exception>
    public TensorGather(TensorInfo tensor)
    {
        ArgumentNullException.ThrowIfNull(tensor);
        if (tensor.DType.Bits() % 8 != 0)
        {
            throw new ArgumentException($"Elements of {tensor.DType.Name()} share bytes; the tensor `{tensor.Name}` can only be read as it lies.", nameof(tensor));
        }

        _tensor = tensor;
        ElementBytes = tensor.DType.Bits() / 8;
        var rank = tensor.Shape.Rank;
        (_innerCount, _innerExtent) = (new long[rank + 1], new long[rank + 1]);
        _innerCount[rank] = 1;
        for (var d = rank - 1; d >= 0; d--)
        {
            _innerCount[d] = _innerCount[d + 1] * tensor.Shape[d];
        }

        _strides = tensor.Layout.Strides.IsDefault ? [.. _innerCount.Skip(1)] : tensor.Layout.Strides;
        for (var d = rank - 1; d >= 0; d--)
        {
            _innerExtent[d] = _innerExtent[d + 1] + ((tensor.Shape[d] - 1) * _strides[d]);
        }
    }

    /// <summary>Bytes of one element.</summary>
    public int ElementBytes { get; }

    /// <summary>The run of the file in which the elements <paramref name="first"/> to <paramref name="first"/> + <paramref name="count"/> lie.</summary>
    /// <param name="first">The window's first element, in row-major order.</param>
    /// <param name="count">The window's number of elements, at least one.</param>
    public ByteRange SourceOf(long first, long count)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(first);
        ArgumentOutOfRangeException.ThrowIfLessThan(count, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(first + count, _innerCount[0]);
        var (start, last) = (_tensor.Layout.ElementOffset, first + count - 1);
        var extent = 0L;
        for (var d = 0; d < _strides.Length; d++)
        {
            var (low, high) = (first / _innerCount[d + 1], last / _innerCount[d + 1]);
            start += low * _strides[d];
            if (low != high)
            {
                extent = ((high - low) * _strides[d]) + _innerExtent[d + 1];
                break;
            }

            first -= low * _innerCount[d + 1];
            last -= low * _innerCount[d + 1];
        }

        return new(_tensor.Layout.Extent.Offset + (start * ElementBytes), (extent + 1) * ElementBytes);
    }

    /// <summary>The blocks of the file to gather a window from, in the order in which they lie: its whole run, or where its elements lie far apart, these.</summary>
    /// <param name="first">The window's first element.</param>
    /// <param name="count">The window's number of elements, at least one.</param>
    /// <param name="maxBlockBytes">The most bytes of a block: whole elements.</param>
    public IEnumerable<ByteRange> BlocksOf(long first, long count, int maxBlockBytes)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(maxBlockBytes, ElementBytes);
        var run = SourceOf(first, count);
        return IsScattered(run, count)
            ? ByteRangeGroup.Coalesce([.. Enumerable.Range(0, (int)count).Select(i => SourceOf(first + i, 1))], MaxGap, maxBlockBytes).Select(group => group.Extent)
            : Blocks(run, maxBlockBytes);
    }

    /// <summary>What gathering the tensor costs, in bytes to read, each read of <see cref="BlocksOf"/> counted as <see cref="MaxGap"/> where elements are scattered.</summary>
    /// <param name="enough">Where it costs more, how much more is not counted.</param>
    internal Int128 BytesToRead(Int128 enough)
    {
        Int128 bytes = 0;
        var windowElements = WindowBytes / ElementBytes;
        for (var first = 0L; first < _innerCount[0] && bytes <= enough; first += windowElements)
        {
            var count = Math.Min(windowElements, _innerCount[0] - first);
            var run = SourceOf(first, count);
            bytes += IsScattered(run, count) ? count * MaxGap : run.Length;
        }

        return bytes;
    }

    private static bool IsScattered(ByteRange run, long count) => count <= MaxScattered && run.Length > count * MaxGap;

    private static IEnumerable<ByteRange> Blocks(ByteRange run, int maxBlockBytes)
    {
        for (var at = run.Offset; at < run.End; at += maxBlockBytes)
        {
            yield return new(at, Math.Min(maxBlockBytes, run.End - at));
        }
    }

    /// <summary>Copies those of a window's elements that lie in a block of the file to their places.</summary>
    /// <param name="first">The window's first element.</param>
    /// <param name="window">The window: whole elements.</param>
    /// <param name="offset">The block's first byte in the file: the start of an element.</param>
    /// <param name="block">The block: whole elements.</param>
    public void Gather(long first, Span<byte> window, long offset, ReadOnlySpan<byte> block)
    {
        var source = (offset - _tensor.Layout.Extent.Offset) / ElementBytes;
        var part = new Part(first, window, source, block);
        Visit(part, 0, 0, _tensor.Layout.ElementOffset);
    }

    /// <summary>Applies the tensor's <see cref="TensorLayout.Transform"/> to a window that is complete.</summary>
    public void Finish(Span<byte> window) => ElementTransforms.Apply(_tensor.Layout.Transform, _tensor.DType, window);

    // Goes down the dimensions, at each only to the indices whose elements lie both in the window and in the block. The depth is the rank, which
    // CheckpointLimits bounds.
    private void Visit(in Part part, int d, long element, long source)
    {
        if (d == _strides.Length)
        {
            part.Copy(element, source, 1, ElementBytes);
            return;
        }

        var (low, high) = (0L, _tensor.Shape[d]);
        Clamp(part.First - element, part.Elements(ElementBytes), _innerCount[d + 1], _innerCount[d + 1] - 1, ref low, ref high);
        Clamp(part.Source - source, part.SourceElements(ElementBytes), _strides[d], _innerExtent[d + 1], ref low, ref high);
        var (isInnermost, run) = (d == _strides.Length - 1, 1L);
        if (isInnermost && _strides[d] == 1)
        {
            run = high - low;
        }

        for (var i = low; i < high; i += run)
        {
            var (nextElement, nextSource) = (element + (i * _innerCount[d + 1]), source + (i * _strides[d]));
            if (isInnermost)
            {
                part.Copy(nextElement, nextSource, run, ElementBytes);
            }
            else
            {
                Visit(part, d + 1, nextElement, nextSource);
            }
        }
    }

    // Narrows the indices i for which [i * step, i * step + reach] meets [start, start + length).
    private static void Clamp(long start, long length, long step, long reach, ref long low, ref long high)
    {
        if (step == 0)
        {
            high = start <= reach && start + length > 0 ? high : low;
            return;
        }

        low = Math.Max(low, start - reach <= 0 ? 0 : (start - reach + step - 1) / step);
        high = start + length <= 0 ? low : Math.Min(high, ((start + length - 1) / step) + 1);
    }

    private readonly ref struct Part(long first, Span<byte> window, long source, ReadOnlySpan<byte> block)
    {
        private readonly Span<byte> _window = window;
        private readonly ReadOnlySpan<byte> _block = block;

        public long First => first;

        public long Source => source;

        public long Elements(int elementBytes) => _window.Length / elementBytes;

        public long SourceElements(int elementBytes) => _block.Length / elementBytes;

        public void Copy(long element, long from, long count, int elementBytes)
        {
            var bytes = (int)(count * elementBytes);
            _block.Slice((int)((from - source) * elementBytes), bytes).CopyTo(_window[(int)((element - first) * elementBytes)..]);
        }
    }
}
