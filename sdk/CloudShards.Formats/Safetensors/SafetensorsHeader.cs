using System.Buffers.Binary;
using System.Collections.Immutable;
using System.Text.Json;
using System.Text.Unicode;

namespace CloudShards.Formats.Safetensors;

/// <summary>
/// The header of a safetensors file: u64 little-endian length, that many bytes of JSON, then the tensors' bytes without gaps.
/// Rules are those of huggingface/safetensors, README and <c>Metadata::validate</c>.
/// </summary>
internal static class SafetensorsHeader
{
    private const int LengthBytes = sizeof(ulong);

    public static IEnumerable<ParseStep> Parse(ReadOnlyMemory<byte> head, long fileLength, CheckpointLimits limits)
    {
        var length = HeaderLength(head.Span, fileLength, limits);
        var whole = head;
        if (LengthBytes + length > head.Length)
        {
            var request = new ByteRequest(new ByteRange(0, LengthBytes + length));
            yield return request;
            whole = request.Bytes;
        }

        yield return new Parsed(Describe(whole.Span.Slice(LengthBytes, length), fileLength, limits));
    }

    private static int HeaderLength(ReadOnlySpan<byte> head, long fileLength, CheckpointLimits limits)
    {
        var length = BinaryPrimitives.ReadUInt64LittleEndian(head);
        if (length > (ulong)limits.MaxHeaderBytes)
        {
            throw Errors.LimitExceeded("the header's bytes", unchecked((long)length), limits.MaxHeaderBytes, nameof(limits.MaxHeaderBytes));
        }

        return (int)length <= fileLength - LengthBytes
            ? (int)length
            : throw Errors.Truncated("the safetensors header", LengthBytes, (long)length, fileLength - LengthBytes);
    }

    private static CheckpointDescription Describe(ReadOnlySpan<byte> header, long fileLength, CheckpointLimits limits)
    {
        if (!Utf8.IsValid(header))
        {
            throw Errors.HeaderNotUtf8(LengthBytes);
        }

        var reader = new Utf8JsonReader(header);
        try
        {
            var (tensors, metadata) = SafetensorsJson.Read(ref reader, LengthBytes + header.Length, limits);
            ValidateOffsets(tensors, LengthBytes + header.Length, fileLength);
            return new() { Format = CheckpointFormat.Safetensors, Tensors = tensors, Metadata = metadata };
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            throw Errors.HeaderNotJson(LengthBytes + reader.BytesConsumed, e);
        }
    }

    // Sorted by their first byte, tensors must cover the data without a hole, an overlap or a rest.
    private static void ValidateOffsets(ImmutableArray<TensorInfo> tensors, long dataStart, long fileLength)
    {
        var position = dataStart;
        string? previous = null;
        foreach (var tensor in InOrder(tensors))
        {
            var extent = tensor.Layout.Extent;
            if (extent.Offset != position)
            {
                throw extent.Offset < position
                    ? Errors.TensorsOverlap(tensor.Name, extent, previous)
                    : Errors.HoleBeforeTensor(tensor.Name, position, extent.Offset);
            }

            (position, previous) = (extent.End, tensor.Name);
        }

        if (position != fileLength)
        {
            throw position > fileLength
                ? Errors.Truncated("the tensors' data", dataStart, position - dataStart, fileLength - dataStart)
                : Errors.TrailingBytes(position, fileLength);
        }
    }

    // Most writers leave them in order.
    private static IEnumerable<TensorInfo> InOrder(ImmutableArray<TensorInfo> tensors)
    {
        for (var i = 1; i < tensors.Length; i++)
        {
            if (tensors[i].Layout.Extent.Offset < tensors[i - 1].Layout.Extent.End)
            {
                return tensors.OrderBy(tensor => tensor.Layout.Extent.Offset).ThenBy(tensor => tensor.Layout.Extent.Length);
            }
        }

        return tensors;
    }
}
