namespace CloudShards.Formats.Tests.Files;

/// <summary>Writes a tensor out one element at a time, as its layout defines it: what faster code must agree with.</summary>
internal static class NaiveGather
{
    public static byte[] Gather(TensorInfo tensor, ReadOnlySpan<byte> file)
    {
        var extent = file.Slice((int)tensor.Layout.Extent.Offset, (int)tensor.Layout.Extent.Length);
        if (tensor.DType.Bits() % 8 != 0)
        {
            return extent.ToArray();
        }

        var strides = tensor.Layout.Strides.IsDefault ? PickleBytes.RowMajor([.. tensor.Shape]) : [.. tensor.Layout.Strides];
        var elementBytes = tensor.DType.Bits() / 8;
        var gathered = new List<byte>();
        var index = new long[tensor.Shape.Rank];
        for (var count = tensor.Shape.ElementCount(); count > 0; count--)
        {
            var element = tensor.Layout.ElementOffset + index.Zip(strides, (i, stride) => i * stride).Sum();
            gathered.AddRange(Transform(extent.Slice((int)element * elementBytes, elementBytes).ToArray(), tensor));
            Advance(index, tensor.Shape);
        }

        return [.. gathered];
    }

    private static void Advance(long[] index, TensorShape shape)
    {
        for (var d = index.Length - 1; d >= 0 && ++index[d] == shape[d]; d--)
        {
            index[d] = 0;
        }
    }

    private static byte[] Transform(byte[] element, TensorInfo tensor)
    {
        var transform = tensor.Layout.Transform;
        var parts = element.Chunk(tensor.DType.IsComplex() ? element.Length / 2 : element.Length).ToArray();
        if (transform.HasFlag(ElementTransform.SwapBytes))
        {
            Array.ForEach(parts, Array.Reverse);
        }

        if (transform.HasFlag(ElementTransform.Conjugate) && tensor.DType.IsComplex())
        {
            parts[1][^1] ^= 0x80;
        }

        if (transform.HasFlag(ElementTransform.Negate))
        {
            Array.ForEach(parts, part => Negate(part, tensor.DType));
        }

        return [.. parts.SelectMany(part => part)];
    }

    private static void Negate(byte[] part, TensorDType dtype)
    {
        if (dtype.Name()[0] is not ('I' or 'U'))
        {
            part[^1] ^= 0x80;
            return;
        }

        var carry = 1;
        for (var i = 0; i < part.Length; i++)
        {
            carry += (byte)~part[i];
            (part[i], carry) = ((byte)carry, carry >> 8);
        }
    }
}
