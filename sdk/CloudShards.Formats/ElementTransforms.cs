using System.Buffers.Binary;
using System.Numerics;
using System.Runtime.InteropServices;

namespace CloudShards.Formats;

/// <summary>Applies <see cref="ElementTransform"/>s to elements in place.</summary>
internal static class ElementTransforms
{
    private const byte SignBit = 0x80;

    public static void Apply(ElementTransform transform, TensorDType dtype, Span<byte> elements)
    {
        var elementBytes = dtype.Bits() / 8;
        var partBytes = dtype.IsComplex() ? elementBytes / 2 : elementBytes;
        if (transform.HasFlag(ElementTransform.SwapBytes))
        {
            Swap(elements, partBytes);
        }

        if (transform.HasFlag(ElementTransform.Conjugate) && dtype.IsComplex())
        {
            FlipSigns(elements, elementBytes, elementBytes - 1);
        }

        if (transform.HasFlag(ElementTransform.Negate))
        {
            Negate(elements, dtype, partBytes);
        }
    }

    private static void Swap(Span<byte> elements, int partBytes)
    {
        switch (partBytes)
        {
            case sizeof(ushort):
                var shorts = MemoryMarshal.Cast<byte, ushort>(elements);
                BinaryPrimitives.ReverseEndianness(shorts, shorts);
                break;
            case sizeof(uint):
                var ints = MemoryMarshal.Cast<byte, uint>(elements);
                BinaryPrimitives.ReverseEndianness(ints, ints);
                break;
            case sizeof(ulong):
                var longs = MemoryMarshal.Cast<byte, ulong>(elements);
                BinaryPrimitives.ReverseEndianness(longs, longs);
                break;
        }
    }

    private static void Negate(Span<byte> elements, TensorDType dtype, int partBytes)
    {
        switch (dtype)
        {
            case TensorDType.I8 or TensorDType.U8:
                NegateIntegers<byte>(elements);
                break;
            case TensorDType.I16 or TensorDType.U16:
                NegateIntegers<ushort>(elements);
                break;
            case TensorDType.I32 or TensorDType.U32:
                NegateIntegers<uint>(elements);
                break;
            case TensorDType.I64 or TensorDType.U64:
                NegateIntegers<ulong>(elements);
                break;
            default:
                FlipSigns(elements, partBytes, partBytes - 1);
                break;
        }
    }

    private static void NegateIntegers<T>(Span<byte> elements)
        where T : unmanaged, IBinaryInteger<T>
    {
        foreach (ref var number in MemoryMarshal.Cast<byte, T>(elements))
        {
            number = unchecked(T.Zero - number);
        }
    }

    private static void FlipSigns(Span<byte> elements, int step, int first)
    {
        for (var i = first; i < elements.Length; i += step)
        {
            elements[i] ^= SignBit;
        }
    }
}
