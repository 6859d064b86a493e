using System.Collections.Immutable;

namespace CloudShards.Formats.Torch;

/// <summary>
/// The zip that <c>torch.save</c> has written since PyTorch 1.6 (<c>torch/serialization.py</c>): <c>data.pkl</c> describes the tensors,
/// <c>data/{key}</c> holds each TorchStorage, stored without compression. <c>torch.jit.save</c> writes the same, with code beside it.
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
        var (root, length, budget) = PickleMachine.Run(Content(pickle, structure[0].Span), content.Offset, limits);
        var walk = StateDictWalk.Run(root, length, budget);

        var recordOf = new Dictionary<TorchStorage, ZipEntry>(ReferenceEqualityComparer.Instance);
        foreach (var (name, tensor) in walk.AllTensors)
        {
            recordOf.TryAdd(tensor.Storage, Record(directory, name, tensor.Storage));
        }

        ImmutableArray<ZipEntry> records = [.. recordOf.Values.Distinct(ReferenceEqualityComparer.Instance).Cast<ZipEntry>()];
        var headers = new ByteRequest([.. records.Select(record => record.HeaderRange)]);
        if (records.Length > 0)
        {
            yield return headers;
        }

        var places = new Dictionary<ZipEntry, ByteRange>(
            records.Select((record, i) => KeyValuePair.Create(record, record.Locate(headers[i].Span))), ReferenceEqualityComparer.Instance);
        var format = directory.Find("constants.pkl") is null ? CheckpointFormat.TorchZip : CheckpointFormat.TorchScript;
        foreach (var step in TorchRecords.Describe(
            format, walk, tensor => places[recordOf[tensor.Storage]], transform, fileLength, limits))
        {
            yield return step;
        }
    }

    private static ZipEntry PickleEntry(ZipDirectory directory, CheckpointLimits limits)
    {
        var pickle = directory.Find("data.pkl") ?? throw Errors.NoPickle(directory.Prefix);
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
    private static ZipEntry Record(ZipDirectory directory, string tensor, TorchStorage storage)
    {
        var record = directory.Find($"data/{storage.Key}") ?? throw Errors.NoRecord(tensor, storage.Key);
        return record.Bytes == storage.RecordBytes ? record : throw Errors.RecordSize(tensor, storage.Key, storage.RecordBytes, record.Bytes);
    }
}
