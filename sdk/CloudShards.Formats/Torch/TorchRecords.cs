using System.Buffers.Binary;
using System.Collections.Immutable;

namespace CloudShards.Formats.Torch;

/// <summary>The end of every parse of a PyTorch format: from named tensors over records to a description of the file.</summary>
internal static class TorchRecords
{
    private const int MaxChannels = 1 << 20;

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
        BoundExpansion(tensors, fileLength, limits);
        ImmutableArray<TensorInfo> channels =
        [
            .. walk.AllTensors.Skip(tensors.Length).Select(named => Place(named.Name, named.Tensor, placeOf, transform)),
        ];
        var numbers = new ByteRequest([.. channels.Select(Channels)]);
        if (channels.Length > 0)
        {
            yield return numbers;
        }

        var next = 0;
        foreach (var (name, tensor) in walk.Quantised)
        {
            var scale = tensor.Scale is TorchTensor ? Decode(channels[next], numbers[next++].Span) : tensor.Scale;
            var zeroPoint = tensor.ZeroPoint is TorchTensor ? Decode(channels[next], numbers[next++].Span) : tensor.ZeroPoint;
            walk.Values.AddQuantisation(name, tensor, scale, zeroPoint);
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

    private static void BoundExpansion(ImmutableArray<TensorInfo> tensors, long fileLength, CheckpointLimits limits)
    {
        const long AlwaysAllowed = 64 << 20;
        Int128 bytes = 0;
        foreach (var tensor in tensors.DistinctBy(tensor => (tensor.Layout, tensor.Shape, tensor.DType)))
        {
            bytes += tensor.Bytes;
            if (bytes > AlwaysAllowed && bytes > (Int128)fileLength * limits.MaxExpansion)
            {
                throw Errors.ExpandsTooFar(tensor.Name, fileLength, limits.MaxExpansion);
            }
        }
    }

    private static ByteRange Channels(TensorInfo numbers) =>
        numbers.Contiguous is { } run && numbers.Shape.Rank == 1 && numbers.Shape[0] is > 0 and <= MaxChannels
        && numbers.DType is TensorDType.F64 or TensorDType.F32 or TensorDType.I64 or TensorDType.I32
            ? run
            : throw Errors.UnsupportedScales(numbers.Name);

    private static PickleSequence Decode(TensorInfo numbers, ReadOnlySpan<byte> bytes)
    {
        var items = new List<PickleNode>((int)numbers.Shape[0]);
        for (var step = numbers.DType.Bits() / 8; !bytes.IsEmpty; bytes = bytes[step..])
        {
            items.Add(numbers.DType switch
            {
                TensorDType.F64 => new PickleFloat(BinaryPrimitives.ReadDoubleLittleEndian(bytes)),
                TensorDType.F32 => new PickleFloat(BinaryPrimitives.ReadSingleLittleEndian(bytes)),
                TensorDType.I64 => new PickleInteger(BinaryPrimitives.ReadInt64LittleEndian(bytes)),
                _ => new PickleInteger(BinaryPrimitives.ReadInt32LittleEndian(bytes)),
            });
        }

        return new(PickleSequence.Kind.List, items);
    }
}
