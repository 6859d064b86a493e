using System.Collections.Immutable;
using System.Numerics;

namespace CloudShards.Formats.Tests.Files;

/// <summary>
/// Reads a file that is in memory with <see cref="CheckpointParser"/>, and holds the parser to its contract on the way: it wants ranges
/// that lie in the file and are not empty, keeps no bytes beyond the next call, and describes only what lies in the file.
/// </summary>
internal static class CheckpointBytes
{
    private const byte Poison = 0xcc;

    public static CheckpointDescription Describe(byte[] file, CheckpointLimits? limits = null)
    {
        var parser = new CheckpointParser(file.Length, limits);
        byte[][] previous = [];
        while (!parser.Wanted.IsEmpty)
        {
            var bytes = Answer(parser.Wanted, file);
            parser.Supply([.. bytes.Select(part => (ReadOnlyMemory<byte>)part)]);
            Overwrite(previous);
            previous = bytes;
        }

        Overwrite(previous);
        AssertWithin(parser.Description, file.Length);
        return parser.Description;
    }

    /// <summary>The refusal of a file.</summary>
    public static CheckpointFormatException Refuse(byte[] file, CheckpointLimits? limits = null) =>
        Assert.Throws<CheckpointFormatException>(() => Describe(file, limits));

    /// <summary>The refusal of a file, or null where it is described.</summary>
    public static CheckpointFormatException? TryDescribe(byte[] file)
    {
        try
        {
            Describe(file);
            return null;
        }
        catch (CheckpointFormatException refusal)
        {
            return refusal;
        }
    }

    /// <summary>Bytes that the parser itself allocates, whether it describes the file or refuses it.</summary>
    public static (long Allocated, CheckpointFormatException? Refusal) Measure(byte[] file, CheckpointLimits? limits = null)
    {
        var before = GC.GetAllocatedBytesForCurrentThread();
        CheckpointFormatException? refusal = null;
        try
        {
            var parser = new CheckpointParser(file.Length, limits);
            while (!parser.Wanted.IsEmpty)
            {
                parser.Supply([.. parser.Wanted.Select(range => (ReadOnlyMemory<byte>)file.AsMemory((int)range.Offset, (int)range.Length))]);
            }
        }
        catch (CheckpointFormatException e)
        {
            refusal = e;
        }

        return (GC.GetAllocatedBytesForCurrentThread() - before, refusal);
    }

    private static byte[][] Answer(ImmutableArray<ByteRange> wanted, byte[] file)
    {
        Assert.All(wanted, range =>
        {
            Assert.InRange(range.Length, 1, file.Length);
            Assert.InRange(range.Offset, 0, file.Length - range.Length);
        });
        return [.. wanted.Select(range => file[(int)range.Offset..(int)range.End])];
    }

    private static void Overwrite(byte[][] bytes)
    {
        foreach (var part in bytes)
        {
            part.AsSpan().Fill(Poison);
        }
    }

    private static void AssertWithin(CheckpointDescription description, long fileLength)
    {
        Assert.Distinct(description.Tensors.Select(tensor => tensor.Name), StringComparer.Ordinal);
        foreach (var tensor in description.Tensors)
        {
            var extent = tensor.Layout.Extent;
            Assert.True(extent.Offset >= 0 && extent.Length >= 0 && extent.Offset <= fileLength - extent.Length, $"{tensor.Name} at {extent}");
            Assert.Equal(tensor.Shape.ByteCount(tensor.DType), tensor.Bytes);
            var elements = extent.Length * 8 / tensor.DType.Bits();
            Assert.InRange(LastElement(tensor), 0, tensor.Bytes == 0 ? elements : elements - 1);
            if (tensor.Contiguous is { } range)
            {
                Assert.Equal(tensor.Bytes, range.Length);
                Assert.True(range.Offset >= extent.Offset && range.End <= extent.End, $"{tensor.Name} at {range}, outside {extent}");
            }
        }
    }

    private static BigInteger LastElement(TensorInfo tensor)
    {
        BigInteger last = tensor.Layout.ElementOffset;
        if (tensor.Bytes > 0)
        {
            var strides = tensor.Layout.Strides.IsDefault ? [.. PickleBytes.RowMajor([.. tensor.Shape])] : tensor.Layout.Strides;
            Assert.Equal(tensor.Shape.Rank, strides.Length);
            last += strides.Select((stride, d) => new BigInteger(stride) * (tensor.Shape[d] - 1)).Aggregate(BigInteger.Zero, BigInteger.Add);
        }

        return last;
    }
}
