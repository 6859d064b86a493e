using System.Collections.Immutable;

namespace CloudShards.Formats.Torch;

/// <summary>
/// The zip that <c>torch.save</c> has written since PyTorch 1.6 (<c>torch/serialization.py</c>): <c>data.pkl</c> describes the tensors,
/// <c>data/{key}</c> holds each TorchStorage, stored without compression.
/// </summary>
internal static class TorchZip
{
    // "little" is longer than "big".
    private const int MaxByteOrderBytes = 6;

    public static IEnumerable<ParseStep> Parse(long fileLength, CheckpointLimits limits)
    {
        var tail = new ByteRequest(ZipDirectory.TailRange(fileLength));
        yield return tail;
        var (range, entries) = ZipDirectory.Locate(tail.Bytes.Span, fileLength, limits);
        var directoryBytes = new ByteRequest(range);
        yield return directoryBytes;
        var directory = ZipDirectory.Read(directoryBytes.Bytes.Span, range, entries);

        var pickle = PickleEntry(directory, limits);
        var byteOrder = ByteOrderEntry(directory);
        var structure = new ByteRequest(byteOrder is null ? [pickle.WholeRange] : [pickle.WholeRange, byteOrder.WholeRange]);
        yield return structure;
        var transform = byteOrder is null ? ElementTransform.None : ByteOrder(Content(byteOrder, structure[1].Span), byteOrder.HeaderOffset);
        var content = pickle.Locate(structure[0].Span);
        var root = PickleMachine.Run(Content(pickle, structure[0].Span), content.Offset, limits);
        var (tensors, values) = StateDictWalk.Run(root, limits);

        var recordOf = tensors.ConvertAll(named => Record(directory, named.Name, named.Tensor));
        ImmutableArray<ZipEntry> records = [.. recordOf.Distinct(ReferenceEqualityComparer.Instance).Cast<ZipEntry>()];
        var headers = new ByteRequest([.. records.Select(record => record.HeaderRange)]);
        if (records.Length > 0)
        {
            yield return headers;
        }

        var places = new Dictionary<ZipEntry, ByteRange>(
            records.Select((record, i) => KeyValuePair.Create(record, record.Locate(headers[i].Span))), ReferenceEqualityComparer.Instance);
        var description = new CheckpointDescription
        {
            Format = CheckpointFormat.TorchZip,
            Tensors = [.. tensors.Select((named, i) => Place(named.Name, named.Tensor, places[recordOf[i]], transform))],
            Values = values.ToElement(),
        };
        BoundExpansion(description.Tensors, fileLength, limits);
        yield return new Parsed(description);
    }

    private static ZipEntry PickleEntry(ZipDirectory directory, CheckpointLimits limits)
    {
        var pickle = directory.Find("data.pkl") ?? throw Errors.NoPickle(directory.Prefix);
        if (directory.Find("constants.pkl") is not null)
        {
            throw Errors.UnsupportedFormat("a TorchScript archive");
        }

        pickle.RequireStored();
        return pickle.Bytes <= limits.MaxPickleBytes
            ? pickle
            : throw Errors.LimitExceeded("the pickle's bytes", pickle.Bytes, limits.MaxPickleBytes, nameof(limits.MaxPickleBytes));
    }

    private static ZipEntry? ByteOrderEntry(ZipDirectory directory)
    {
        var byteOrder = directory.Find("byteorder");
        byteOrder?.RequireStored();
        return byteOrder is { Bytes: > MaxByteOrderBytes } ? throw Errors.UnknownByteOrder(byteOrder.HeaderOffset) : byteOrder;
    }

    private static ReadOnlySpan<byte> Content(ZipEntry entry, ReadOnlySpan<byte> whole)
    {
        var content = entry.Locate(whole);
        return whole.Slice((int)(content.Offset - entry.HeaderOffset), (int)content.Length);
    }

    private static ElementTransform ByteOrder(ReadOnlySpan<byte> record, long offset) =>
        record.SequenceEqual("little"u8) ? ElementTransform.None
        : record.SequenceEqual("big"u8) ? ElementTransform.SwapBytes
        : throw Errors.UnknownByteOrder(offset);

    // What the pickle says of a TorchStorage's size must be what the archive holds: PyTorch 1.13 read past the record where it was not.
    private static ZipEntry Record(ZipDirectory directory, string name, TorchTensor tensor)
    {
        var record = directory.Find($"data/{tensor.Storage.Key}") ?? throw Errors.NoRecord(name, tensor.Storage.Key);
        return record.Bytes == tensor.Storage.Bytes ? record : throw Errors.RecordSize(name, tensor.Storage.Key, tensor.Storage.Bytes, record.Bytes);
    }

    private static TensorInfo Place(string name, TorchTensor tensor, ByteRange place, ElementTransform transform)
    {
        var swap = tensor.DType.Bits() / (tensor.DType.IsComplex() ? 2 : 1) > 8 ? transform : ElementTransform.None;
        return new(name, tensor.DType, tensor.Shape, tensor.Layout with { Extent = place, Transform = tensor.Layout.Transform | swap });
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
}
