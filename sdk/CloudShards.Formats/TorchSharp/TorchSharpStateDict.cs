using System.Collections.Immutable;
using System.Text;

namespace CloudShards.Formats.TorchSharp;

/// <summary>
/// What TorchSharp's <c>Module.save</c> writes (dotnet/TorchSharp <c>NN/Module.cs</c>): a LEB128 count; for each tensor its name (LEB128 length, UTF-8), LEB128
/// dtype, LEB128 rank, LEB128 sizes and its bytes. There is no magic number: a file is one if this walk ends exactly at its end.
/// </summary>
internal static class TorchSharpStateDict
{
    private const int WindowBytes = 4096;

    // TorchSharp's ScalarType, and libtorch's numbers for the types that it has no name for.
    private static readonly Dictionary<long, TensorDType> DTypes = new()
    {
        [0] = TensorDType.U8,
        [1] = TensorDType.I8,
        [2] = TensorDType.I16,
        [3] = TensorDType.I32,
        [4] = TensorDType.I64,
        [5] = TensorDType.F16,
        [6] = TensorDType.F32,
        [7] = TensorDType.F64,
        [8] = TensorDType.C32,
        [9] = TensorDType.C64,
        [10] = TensorDType.C128,
        [11] = TensorDType.Bool,
        [15] = TensorDType.BF16,
        [23] = TensorDType.F8E5M2,
        [24] = TensorDType.F8E4M3,
        [25] = TensorDType.F8E5M2Fnuz,
        [26] = TensorDType.F8E4M3Fnuz,
        [27] = TensorDType.U16,
        [28] = TensorDType.U32,
        [29] = TensorDType.U64,
        [44] = TensorDType.F8E8M0,
    };

    public static IEnumerable<ParseStep> Parse(ReadOnlyMemory<byte> head, long fileLength, CheckpointLimits limits)
    {
        var start = new LebReader(head.Span, 0);
        var count = start.Read();
        if (count is null || count == 0 || count > limits.MaxTensors)
        {
            throw FileSignature.Unrecognised(head.Span, fileLength);
        }

        var (tensors, names, at) = (ImmutableArray.CreateBuilder<TensorInfo>(), new HashSet<string>(StringComparer.Ordinal), (long)start.Position);
        var (window, windowStart) = (head, 0L);
        while (tensors.Count < count)
        {
            if (TryRead(window.Span, windowStart, at, limits) is not { } tensor)
            {
                // The header is torn, or what is there is no header: a window at its start that holds the longest name decides.
                var bytes = windowStart == at ? WindowBytes + limits.MaxNameLength : WindowBytes;
                if (at >= fileLength || (windowStart == at && window.Length >= Math.Min(bytes, fileLength - at)))
                {
                    throw FileSignature.Unrecognised(head.Span, fileLength);
                }

                var request = new ByteRequest(new ByteRange(at, Math.Min(bytes, fileLength - at)));
                yield return request;
                (window, windowStart) = (request.Bytes, at);
                continue;
            }

            if (!tensor.Layout.Extent.LiesWithin(fileLength))
            {
                throw FileSignature.Unrecognised(head.Span, fileLength);
            }

            if (!names.Add(tensor.Name))
            {
                throw Errors.NameCollision(tensor.Name, "tensors");
            }

            tensors.Add(tensor);
            at = tensor.Layout.Extent.End;
        }

        yield return at == fileLength
            ? new Parsed(new() { Format = CheckpointFormat.TorchSharp, Tensors = tensors.ToImmutable() })
            : throw FileSignature.Unrecognised(head.Span, fileLength);
    }

    // The tensor whose header begins at a byte of the file, or null where the window does not hold all of a sensible header.
    private static TensorInfo? TryRead(ReadOnlySpan<byte> window, long windowStart, long at, CheckpointLimits limits)
    {
        if (at - windowStart >= window.Length)
        {
            return null;
        }

        var reader = new LebReader(window, (int)(at - windowStart));
        if (reader.ReadText(limits.MaxNameLength) is not { } name
            || reader.Read() is not { } type || !DTypes.TryGetValue(type, out var dtype)
            || reader.Read() is not { } rank || rank > limits.MaxRank)
        {
            return null;
        }

        var sizes = ImmutableArray.CreateBuilder<long>();
        while (sizes.Count < rank)
        {
            if (reader.Read() is not { } size)
            {
                return null;
            }

            sizes.Add(size);
        }

        var shape = new TensorShape(sizes.ToImmutable());
        return shape.TryCountBytes(dtype, out var bytes) ? new(name, dtype, shape, new() { Extent = new(windowStart + reader.Position, bytes) }) : null;
    }

    /// <summary>Reads unsigned LEB128 numbers; null is a number that is cut short, or above 2^63 - 1.</summary>
    private ref struct LebReader(ReadOnlySpan<byte> bytes, int position)
    {
        private readonly ReadOnlySpan<byte> _bytes = bytes;

        public int Position { get; private set; } = position;

        public long? Read()
        {
            var value = 0L;
            for (var shift = 0; shift < 63 && Position < _bytes.Length; shift += 7)
            {
                var part = _bytes[Position++];
                value |= (long)(part & 0x7f) << shift;
                if (part < 0x80)
                {
                    return value;
                }
            }

            return null;
        }

        public string? ReadText(int limit)
        {
            if (Read() is not { } length || length > limit || length > _bytes.Length - Position)
            {
                return null;
            }

            var utf8 = _bytes.Slice(Position, (int)length);
            Position += (int)length;
            return System.Text.Unicode.Utf8.IsValid(utf8) ? Encoding.UTF8.GetString(utf8) : null;
        }
    }
}
