using System.Buffers.Binary;
using System.Collections.Immutable;

namespace CloudShards.Formats.Torch;

/// <summary>The end of every parse of a PyTorch format: from named tensors over records to a description of the file.</summary>
internal static class TorchRecords
{
    /// <summary>Places tensors in the file and writes how the quantised ones are, for which their scales may have to be read.</summary>
    /// <param name="format">The format.</param>
    /// <param name="walk">The tensors and values.</param>
    /// <param name="placeOf">Where each record lies.</param>
    /// <param name="transform">What all elements of more than one byte must go through.</param>
    /// <param name="fileLength">Bytes of the file.</param>
    /// <param name="limits">Bounds on what the tensors may expand to.</param>
    public static IEnumerable<ParseStep> Describe(
        CheckpointFormat format,
        StateDictWalk walk,
        Func<TorchTensor, ByteRange> placeOf,
        ElementTransform transform,
        long fileLength,
        CheckpointLimits limits)
    {
        ImmutableArray<TensorInfo> tensors = [.. walk.Tensors.Select(named => Place(named.Name, named.Tensor, placeOf, transform))];
        BoundViews(tensors, fileLength, limits);

        // Quantised tensors may share their scales, and overlap in them.
        var channels = walk.AllTensors.Skip(tensors.Length).Select(named => Place(named.Name, named.Tensor, placeOf, transform)).Select(Channels).ToList();
        BoundChannels(channels, limits);
        var ranges = channels.Select(numbers => numbers.Range).Distinct().ToImmutableArray();
        var numbers = new ByteRequest(ranges);
        if (channels.Count > 0)
        {
            yield return numbers;
        }

        walk.Values.AddSource(ranges.Sum(range => range.Length));
        var place = ranges.Index().ToDictionary(range => range.Item, range => range.Index);
        var next = 0;
        foreach (var (name, tensor) in walk.Quantised)
        {
            var scales = tensor.Scale is TorchTensor ? channels[next++] : null;
            var zeroPoints = tensor.ZeroPoint is TorchTensor ? channels[next++] : null;
            walk.Values.AddQuantisation(name, tensor, scales?.Numbers(numbers[place[scales.Range]]), zeroPoints?.Numbers(numbers[place[zeroPoints.Range]]));
        }

        yield return new Parsed(new() { Format = format, Tensors = tensors, Values = walk.Values.ToElement() });
    }

    private static TensorInfo Place(string name, TorchTensor tensor, Func<TorchTensor, ByteRange> placeOf, ElementTransform transform)
    {
        var record = placeOf(tensor);
        var swap = tensor.DType.Bits() / (tensor.DType.IsComplex() ? 2 : 1) > 8 ? transform : ElementTransform.None;
        var layout = tensor.Layout with
        {
            Extent = new(record.Offset + tensor.Layout.Extent.Offset, tensor.Layout.Extent.Length),
            Transform = tensor.Layout.Transform | swap,
        };
        return new(name, tensor.DType, tensor.Shape, layout);
    }

    // Of views, those that are the same count once: they share a shard.
    private static void BoundViews(ImmutableArray<TensorInfo> tensors, long fileLength, CheckpointLimits limits)
    {
        const long AlwaysWritten = 64 << 20;
        const long AlwaysRead = 1 << 30;
        Int128 written = 0;
        Int128 read = 0;
        foreach (var tensor in tensors.DistinctBy(tensor => (tensor.Layout, tensor.Shape, tensor.DType)))
        {
            written += tensor.Bytes;
            if (written > AlwaysWritten && written > (Int128)fileLength * limits.MaxExpansion)
            {
                throw Errors.ExpandsTooFar(tensor.Name, fileLength, limits.MaxExpansion);
            }

            var most = Int128.Max(AlwaysRead, (Int128)fileLength * limits.MaxGatherPasses);
            read += tensor.Contiguous is null && tensor.Bytes > 0 ? new TensorGather(tensor).BytesToRead(most - read) : 0;
            if (read > most)
            {
                throw Errors.GathersTooMuch(tensor.Name, read, fileLength, limits.MaxGatherPasses);
            }
        }
    }

    // Each number takes two characters of the values at least, and as many bytes of the file as of memory.
    private static void BoundChannels(List<ChannelNumbers> channels, CheckpointLimits limits)
    {
        var text = channels.Sum(numbers => 2 * numbers.Count);
        var bytes = channels.Select(numbers => numbers.Range).Distinct().Sum(range => range.Length);
        if (Math.Max(text, bytes) > limits.MaxValueBytes)
        {
            throw Errors.LimitExceeded(
                "the bytes of scales and zero points", Math.Max(text, bytes), limits.MaxValueBytes, nameof(limits.MaxValueBytes));
        }
    }

    private static ChannelNumbers Channels(TensorInfo numbers)
    {
        // A big-endian row lies as contiguous as any other.
        var stored = numbers with { Layout = numbers.Layout with { Transform = numbers.Layout.Transform & ~ElementTransform.SwapBytes } };
        return stored.Contiguous is { Length: > 0 } run && numbers.Shape.Rank == 1
            && numbers.DType is TensorDType.F64 or TensorDType.F32 or TensorDType.I64 or TensorDType.I32
            ? new(numbers.DType, run, numbers.Layout.Transform)
            : throw Errors.UnsupportedScales(numbers.Name);
    }
}

/// <summary>A row of scales or zero points in the file.</summary>
/// <param name="DType">Their type.</param>
/// <param name="Range">Where they lie.</param>
/// <param name="Transform">Whether their bytes are swapped.</param>
internal sealed record ChannelNumbers(TensorDType DType, ByteRange Range, ElementTransform Transform)
{
    /// <summary>How many there are.</summary>
    public long Count => Range.Length * 8 / DType.Bits();

    /// <summary>The numbers, one by one, of the bytes of <see cref="Range"/>.</summary>
    public IEnumerable<PickleNode> Numbers(ReadOnlyMemory<byte> bytes)
    {
        var element = new byte[DType.Bits() / 8];
        for (; !bytes.IsEmpty; bytes = bytes[element.Length..])
        {
            bytes.Span[..element.Length].CopyTo(element);
            ElementTransforms.Apply(Transform, DType, element);
            yield return DType switch
            {
                TensorDType.F64 => new PickleFloat(BinaryPrimitives.ReadDoubleLittleEndian(element)),
                TensorDType.F32 => new PickleFloat(BinaryPrimitives.ReadSingleLittleEndian(element)),
                TensorDType.I64 => new PickleInteger(BinaryPrimitives.ReadInt64LittleEndian(element)),
                _ => new PickleInteger(BinaryPrimitives.ReadInt32LittleEndian(element)),
            };
        }
    }
}
