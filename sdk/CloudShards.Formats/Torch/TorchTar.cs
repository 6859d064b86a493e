using System.Buffers.Binary;
using System.Globalization;
using System.Text;

namespace CloudShards.Formats.Torch;

/// <summary>
/// The tar that <c>torch.save</c> wrote before PyTorch 0.1.10 (<c>torch/serialization.py</c>, <c>legacy_load</c>). Its member <c>storages</c> holds the
/// bytes, <c>tensors</c> the geometry, <c>pickle</c> the object, in which tensors are persistent ids by key. Files of this age are small: the
/// members that describe are read whole.
/// </summary>
internal static class TorchTar
{
    private const int BlockBytes = 512;
    private const int MaxMembers = 16;

    public static IEnumerable<ParseStep> Parse(long fileLength, CheckpointLimits limits)
    {
        var members = new Dictionary<string, ByteRange>(StringComparer.Ordinal);
        for (var at = 0L; at + BlockBytes <= fileLength && members.Count < MaxMembers;)
        {
            var header = new ByteRequest(new ByteRange(at, BlockBytes));
            yield return header;
            if (!header.Bytes.Span.ContainsAnyExcept((byte)0))
            {
                break;
            }

            var (name, size) = ReadHeader(header.Bytes.Span, at);
            var content = new ByteRange(at + BlockBytes, size);
            if (!content.LiesWithin(fileLength) || !members.TryAdd(name, content))
            {
                throw Errors.BadTar($"the member `{name}` is there twice, or longer than the file", at);
            }

            at = content.End + ((BlockBytes - (content.End % BlockBytes)) % BlockBytes);
        }

        var (storagesAt, tensorsAt, pickleAt) = (Member(members, "storages"), Member(members, "tensors"), Member(members, "pickle"));
        BoundPickles(tensorsAt.Length + pickleAt.Length, limits);
        var storages = new TarStorages(storagesAt, limits);
        foreach (var step in storages.Read())
        {
            yield return step;
        }

        var described = new ByteRequest([tensorsAt, pickleAt]);
        yield return described;
        var tensors = TarTensors.Read(described[0].Span, tensorsAt.Offset, storages, limits);
        var (root, length, budget) = PickleMachine.Run(
            described[1].Span,
            pickleAt.Offset,
            limits,
            (id, _, offset) => id is PickleText { Value: var key } && tensors.TryGetValue(key, out var tensor)
                ? tensor
                : throw Errors.BadPickle("a persistent id that names no tensor of the archive", offset));
        foreach (var step in TorchRecords.Describe(
            CheckpointFormat.TorchTar,
            StateDictWalk.Run(root, length, budget),
            tensor => storages.Places[tensor.Storage.Key],
            ElementTransform.None,
            fileLength,
            limits))
        {
            yield return step;
        }
    }

    // POSIX.1-1988 ustar: name at 0, size at 124 as octal text, the type at 156.
    private static (string Name, long Size) ReadHeader(ReadOnlySpan<byte> block, long offset)
    {
        var name = Encoding.ASCII.GetString(block[..100]).TrimEnd('\0');
        var octal = Encoding.ASCII.GetString(block.Slice(124, 12)).Trim('\0', ' ');
        var size = 0L;
        foreach (var digit in octal)
        {
            size = digit is >= '0' and <= '7' && size <= long.MaxValue >> 4 ? (size << 3) + (digit - '0') : throw Errors.BadTar("a size is not an octal number", offset);
        }

        return octal.Length > 0 && block[156] is (byte)'0' or 0 ? (name, size) : throw Errors.BadTar($"the member `{name}` is not a file", offset);
    }

    private static ByteRange Member(Dictionary<string, ByteRange> members, string name) =>
        members.TryGetValue(name, out var range) && range.Length > 0 ? range : throw Errors.NotTorchTar(name);

    private static void BoundPickles(long bytes, CheckpointLimits limits)
    {
        if (bytes > limits.MaxPickleBytes)
        {
            throw Errors.LimitExceeded("the pickles' bytes", bytes, limits.MaxPickleBytes, nameof(limits.MaxPickleBytes));
        }
    }
}

/// <summary>
/// The member <c>storages</c>: a pickled count; for each storage a pickled (key, location, class), an i64 count of elements and the elements; then a
/// pickled list of views.
/// </summary>
internal sealed class TarStorages(ByteRange member, CheckpointLimits limits)
{
    // A pickled key, location and class take some 60 bytes.
    private const int WindowBytes = 4096;

    /// <summary>The storages by key.</summary>
    public Dictionary<string, TorchStorage> Storages { get; } = new(StringComparer.Ordinal);

    private readonly PickleBudget _budget = new(limits, member.Length);

    /// <summary>Where the elements of each lie.</summary>
    public Dictionary<string, ByteRange> Places { get; } = new(StringComparer.Ordinal);

    public IEnumerable<ParseStep> Read()
    {
        var at = member.Offset;
        var window = Window(at);
        yield return window;
        var (count, length, _) = PickleMachine.Run(window.Bytes.Span, at, limits);
        if (count is not PickleInteger counted || !counted.TryGetInt64(out var storages) || storages < 0 || storages > limits.MaxTensors)
        {
            throw Errors.BadTar("its count of storages is not one", at);
        }

        at += length;
        for (var i = 0L; i < storages; i++)
        {
            window = Window(at);
            yield return window;
            at = Take(window.Bytes.Span, at);
        }

        window = Window(at);
        yield return window;
        if (PickleMachine.Run(window.Bytes.Span, at, limits).Root is not PickleSequence { Items.Count: 0 })
        {
            throw Errors.UnsupportedTensor("a storage that views another (PyTorch before 0.1.10)", at);
        }
    }

    private ByteRequest Window(long at) => at < member.End
        ? new(new ByteRange(at, Math.Min(WindowBytes, member.End - at)))
        : throw Errors.Truncated("the member `storages`", member.Offset, member.Length + 1, member.Length);

    private long Take(ReadOnlySpan<byte> window, long at)
    {
        var (id, length, _) = PickleMachine.Run(window, at, limits);
        if (id is not PickleSequence { Items: [PickleInteger key, PickleText location, PickleGlobal type] } || window.Length < length + sizeof(long))
        {
            throw Errors.BadTar("a storage is not described by key, location and class", at);
        }

        var name = key.Value.ToString(CultureInfo.InvariantCulture);
        var elements = new PickleInteger(BinaryPrimitives.ReadInt64LittleEndian(window[length..]));
        var storage = TorchObjects.Storage(type, name, location.Value, elements, PickleNone.Instance, _budget, at);
        var place = new ByteRange(at + length + sizeof(long), storage.RecordBytes);
        return place.LiesWithin(member.End) && Storages.TryAdd(name, storage) && Places.TryAdd(name, place)
            ? place.End
            : throw Errors.BadTar($"the storage `{name}` is there twice, or longer than the file", at);
    }
}

/// <summary>
/// The member <c>tensors</c>: a pickled count; for each tensor a pickled (key, storage key, class), i32 rank, i32 0, i64 sizes, i64 strides, i64 offset.
/// </summary>
internal static class TarTensors
{
    public static Dictionary<string, TorchTensor> Read(ReadOnlySpan<byte> bytes, long start, TarStorages storages, CheckpointLimits limits)
    {
        var (count, at, _) = PickleMachine.Run(bytes, start, limits);
        if (count is not PickleInteger counted || !counted.TryGetInt64(out var total) || total < 0 || total > limits.MaxTensors)
        {
            throw Errors.BadTar("its count of tensors is not one", start);
        }

        var (tensors, budget) = (new Dictionary<string, TorchTensor>(StringComparer.Ordinal), new PickleBudget(limits, bytes.Length));
        for (var i = 0L; i < total; i++)
        {
            var offset = start + at;
            var (id, length, _) = PickleMachine.Run(bytes[at..], offset, limits);
            at += length;
            if (id is not PickleSequence { Items: [PickleInteger key, PickleInteger storageKey, PickleGlobal] }
                || !storages.Storages.TryGetValue(storageKey.Value.ToString(CultureInfo.InvariantCulture), out var storage)
                || storage.Type.DType is not { } dtype)
            {
                throw Errors.BadTar("a tensor is not described by key, storage and class", offset);
            }

            var rank = Int32(bytes, ref at, offset);
            Int32(bytes, ref at, offset);
            if (rank < 0 || rank > limits.MaxRank)
            {
                throw Errors.LimitExceeded("the dimensions of a tensor", rank, limits.MaxRank, nameof(limits.MaxRank));
            }

            var (sizes, strides) = (Int64s(bytes, rank, ref at, offset), Int64s(bytes, rank, ref at, offset));
            var view = new ViewArguments(storage, Int64s(bytes, 1, ref at, offset).Items[0], sizes, strides);
            if (!tensors.TryAdd(key.Value.ToString(CultureInfo.InvariantCulture), TorchTensors.View(view, dtype, ElementTransform.None, budget, offset)))
            {
                throw Errors.BadTar($"the tensor `{key.Value}` is there twice", offset);
            }
        }

        return tensors;
    }

    private static int Int32(ReadOnlySpan<byte> bytes, ref int at, long offset)
    {
        at += sizeof(int);
        return at <= bytes.Length ? BinaryPrimitives.ReadInt32LittleEndian(bytes[(at - sizeof(int))..]) : throw Errors.BadTar("a tensor is cut short", offset);
    }

    private static PickleSequence Int64s(ReadOnlySpan<byte> bytes, int count, ref int at, long offset)
    {
        var numbers = new List<PickleNode>();
        for (; count > 0; count--)
        {
            at += sizeof(long);
            numbers.Add(new PickleInteger(
                at <= bytes.Length ? BinaryPrimitives.ReadInt64LittleEndian(bytes[(at - sizeof(long))..]) : throw Errors.BadTar("a tensor is cut short", offset)));
        }

        return new(PickleSequence.Kind.Tuple, numbers);
    }
}
