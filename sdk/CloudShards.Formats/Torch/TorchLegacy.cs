using System.Buffers.Binary;
using System.Collections.Immutable;
using System.Numerics;

namespace CloudShards.Formats.Torch;

/// <summary>
/// What <c>torch.save</c> wrote before PyTorch 1.6 (<c>torch/serialization.py</c>, <c>_legacy_save</c>): five pickles back to back (a magic number, the
/// protocol's version, the system, the object, the list of keys), then for each key an i64 count of elements and the elements.
/// </summary>
internal static class TorchLegacy
{
    private const int ProtocolVersion = 1001;
    private const int CountBytes = sizeof(long);

    private static readonly BigInteger Magic = BigInteger.Parse("01950a86a20f9469cfc6c", System.Globalization.NumberStyles.HexNumber, null);

    public static IEnumerable<ParseStep> Parse(ReadOnlyMemory<byte> head, long fileLength, CheckpointLimits limits)
    {
        // Where the pickles end is known only once they have run; a file whose object is large takes some more rounds.
        var bytes = head;
        Pickles? pickles;
        while ((pickles = Run(bytes.Span, fileLength, limits)) is null)
        {
            var more = new ByteRequest(new ByteRange(0, Math.Min(fileLength, Math.Min(limits.MaxPickleBytes, 4L * bytes.Length))));
            yield return more;
            bytes = more.Bytes;
        }

        var walk = StateDictWalk.Run(pickles.Root, (int)pickles.End, pickles.Budget);
        var storages = pickles.Storages;
        var records = Records(pickles, storages, fileLength);
        var counts = new ByteRequest([.. pickles.Keys.Select(key => new ByteRange(records[key].Offset - CountBytes, CountBytes))]);
        if (counts.Ranges.Length > 0)
        {
            yield return counts;
        }

        CheckCounts(pickles.Keys, storages, records, counts);
        foreach (var step in TorchRecords.Describe(
            CheckpointFormat.TorchLegacy, walk, tensor => records[tensor.Storage.Key], ElementTransform.None, fileLength, limits))
        {
            yield return step;
        }
    }

    // Null where the bytes end before the pickles do and more can be had.
    private static Pickles? Run(ReadOnlySpan<byte> bytes, long fileLength, CheckpointLimits limits)
    {
        var isAll = bytes.Length == fileLength;
        try
        {
            var at = 0;
            var magic = Next(bytes, ref at, limits);
            var version = Next(bytes, ref at, limits);
            var system = Next(bytes, ref at, limits);
            if (magic is not PickleInteger { Value: var number } || number != Magic
                || version is not PickleInteger { Value: var protocol } || protocol != ProtocolVersion || system is not PickleDict info)
            {
                throw Errors.NotLegacyTorch();
            }

            if (info.Find("little_endian") is PickleBool { Value: false })
            {
                throw Errors.BigEndianLegacy();
            }

            // What the list of tensors leaves out (buffers that are not saved, tensors within other objects) has a storage all the same.
            var storages = new Dictionary<string, TorchStorage>(StringComparer.Ordinal);
            var (root, length, budget) = PickleMachine.Run(bytes[at..], at, limits, (id, paying, offset) => Collect(storages, id, paying, offset));
            at += length;
            var keysAt = at;
            return Next(bytes, ref at, limits) is PickleSequence { Is: PickleSequence.Kind.List } keys && keys.Items.TrueForAll(key => key is PickleText)
                ? new(root, budget, storages, [.. keys.Items.Cast<PickleText>().Select(key => key.Value)], at)
                : throw Errors.BadPickle("the list of storages is not a list of texts", keysAt);
        }
        catch (CheckpointFormatException e) when (e.Error == CheckpointError.Truncated && !isAll)
        {
            return bytes.Length < limits.MaxPickleBytes
                ? null
                : throw Errors.LimitExceeded("the pickles' bytes", bytes.Length + 1L, limits.MaxPickleBytes, nameof(limits.MaxPickleBytes));
        }
    }

    private static PickleNode Next(ReadOnlySpan<byte> bytes, ref int at, CheckpointLimits limits)
    {
        var (root, length, _) = PickleMachine.Run(bytes[at..], at, limits);
        at += length;
        return root;
    }

    private static PickleNode Collect(Dictionary<string, TorchStorage> storages, PickleNode id, PickleBudget budget, long offset)
    {
        var node = TorchObjects.Persistent(id, budget, offset);
        return node is TorchStorage storage && !storages.TryAdd(storage.Key, storage)
            && (storages[storage.Key].RecordBytes != storage.RecordBytes || storages[storage.Key].Type != storage.Type)
            ? throw Errors.StorageOfTwoKinds(storage.Key, offset)
            : node;
    }

    // PyTorch hands out uninitialised memory for a storage that the list forgets.
    private static Dictionary<string, ByteRange> Records(Pickles pickles, Dictionary<string, TorchStorage> storages, long fileLength)
    {
        var records = new Dictionary<string, ByteRange>(StringComparer.Ordinal);
        var at = pickles.End;
        foreach (var key in pickles.Keys)
        {
            if (!storages.TryGetValue(key, out var storage))
            {
                throw Errors.UnknownStorageKey(key, at);
            }

            var record = new ByteRange(at + CountBytes, storage.RecordBytes);
            if (!record.LiesWithin(fileLength))
            {
                throw Errors.Truncated($"the storage `{key}`", record.Offset, record.Length, Math.Max(0, fileLength - record.Offset));
            }

            at = records.TryAdd(key, record) ? record.End : throw Errors.StorageTwice(key, at);
        }

        return storages.Keys.FirstOrDefault(key => !records.ContainsKey(key)) is { } missing ? throw Errors.StorageMissing(missing)
            : at != fileLength ? throw Errors.TrailingBytes(at, fileLength)
            : records;
    }

    private static void CheckCounts(
        ImmutableArray<string> keys, Dictionary<string, TorchStorage> storages, Dictionary<string, ByteRange> records, ByteRequest counts)
    {
        for (var i = 0; i < keys.Length; i++)
        {
            var storage = storages[keys[i]];
            var (found, expected) = (BinaryPrimitives.ReadInt64LittleEndian(counts[i].Span), storage.RecordBytes / storage.Type.ElementBytes);
            if (found != expected)
            {
                throw Errors.StorageCount(keys[i], expected, found, records[keys[i]].Offset - CountBytes);
            }
        }
    }

    /// <summary>What the five pickles say.</summary>
    /// <param name="Root">The object.</param>
    /// <param name="Budget">What it may still take.</param>
    /// <param name="Storages">The storages that it speaks of, by key.</param>
    /// <param name="Keys">The storages that follow, in order.</param>
    /// <param name="End">The byte after the last pickle.</param>
    private sealed record Pickles(
        PickleNode Root, PickleBudget Budget, Dictionary<string, TorchStorage> Storages, ImmutableArray<string> Keys, long End);
}
