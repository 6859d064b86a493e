namespace CloudShards.Formats;

/// <summary>
/// The type of a tensor's elements. Names are those of the safetensors format; <see cref="C32"/> and <see cref="C128"/>, which
/// it lacks, are named alike.
/// </summary>
public enum TensorDType
{
    /// <summary>One byte, 0 or 1.</summary>
    Bool,

    /// <summary>8-bit unsigned integer.</summary>
    U8,

    /// <summary>8-bit signed integer.</summary>
    I8,

    /// <summary>16-bit unsigned integer.</summary>
    U16,

    /// <summary>16-bit signed integer.</summary>
    I16,

    /// <summary>32-bit unsigned integer.</summary>
    U32,

    /// <summary>32-bit signed integer.</summary>
    I32,

    /// <summary>64-bit unsigned integer.</summary>
    U64,

    /// <summary>64-bit signed integer.</summary>
    I64,

    /// <summary>4-bit float, 2 exponent and 1 mantissa bits; two elements a byte.</summary>
    F4,

    /// <summary>6-bit float, 2 exponent and 3 mantissa bits; four elements in three bytes.</summary>
    F6E2M3,

    /// <summary>6-bit float, 3 exponent and 2 mantissa bits; four elements in three bytes.</summary>
    F6E3M2,

    /// <summary>8-bit float, 4 exponent and 3 mantissa bits (PyTorch's float8_e4m3fn).</summary>
    F8E4M3,

    /// <summary>8-bit float, 4 exponent and 3 mantissa bits, no negative zero.</summary>
    F8E4M3Fnuz,

    /// <summary>8-bit float, 5 exponent and 2 mantissa bits.</summary>
    F8E5M2,

    /// <summary>8-bit float, 5 exponent and 2 mantissa bits, no negative zero.</summary>
    F8E5M2Fnuz,

    /// <summary>8-bit power-of-two scale (PyTorch's float8_e8m0fnu).</summary>
    F8E8M0,

    /// <summary>IEEE half precision.</summary>
    F16,

    /// <summary>bfloat16.</summary>
    BF16,

    /// <summary>IEEE single precision.</summary>
    F32,

    /// <summary>IEEE double precision.</summary>
    F64,

    /// <summary>Complex of two halves.</summary>
    C32,

    /// <summary>Complex of two singles.</summary>
    C64,

    /// <summary>Complex of two doubles.</summary>
    C128,
}

/// <summary>Names and sizes of <see cref="TensorDType"/>.</summary>
public static class TensorDTypeExtensions
{
    /// <summary>Characters of the longest name.</summary>
    internal const int MaxNameLength = 12;

    private static readonly Dictionary<string, TensorDType>.AlternateLookup<ReadOnlySpan<char>> ByName =
        Enum.GetValues<TensorDType>().ToDictionary(dtype => dtype.Name(), StringComparer.Ordinal).GetAlternateLookup<ReadOnlySpan<char>>();

    /// <summary>The name in safetensors headers and in manifests, as in <c>BF16</c>.</summary>
    public static string Name(this TensorDType dtype) => dtype switch
    {
        TensorDType.Bool => "BOOL",
        TensorDType.U8 => "U8",
        TensorDType.I8 => "I8",
        TensorDType.U16 => "U16",
        TensorDType.I16 => "I16",
        TensorDType.U32 => "U32",
        TensorDType.I32 => "I32",
        TensorDType.U64 => "U64",
        TensorDType.I64 => "I64",
        TensorDType.F4 => "F4",
        TensorDType.F6E2M3 => "F6_E2M3",
        TensorDType.F6E3M2 => "F6_E3M2",
        TensorDType.F8E4M3 => "F8_E4M3",
        TensorDType.F8E4M3Fnuz => "F8_E4M3FNUZ",
        TensorDType.F8E5M2 => "F8_E5M2",
        TensorDType.F8E5M2Fnuz => "F8_E5M2FNUZ",
        TensorDType.F8E8M0 => "F8_E8M0",
        TensorDType.F16 => "F16",
        TensorDType.BF16 => "BF16",
        TensorDType.F32 => "F32",
        TensorDType.F64 => "F64",
        TensorDType.C32 => "C32",
        TensorDType.C64 => "C64",
        TensorDType.C128 => "C128",
        _ => throw new ArgumentOutOfRangeException(nameof(dtype), dtype, "Not a tensor dtype."),
    };

    /// <summary>Bits that one element takes: 4, 6, or a multiple of 8.</summary>
    public static int Bits(this TensorDType dtype) => dtype switch
    {
        TensorDType.F4 => 4,
        TensorDType.F6E2M3 or TensorDType.F6E3M2 => 6,
        TensorDType.Bool or TensorDType.U8 or TensorDType.I8 or TensorDType.F8E4M3 or TensorDType.F8E4M3Fnuz
            or TensorDType.F8E5M2 or TensorDType.F8E5M2Fnuz or TensorDType.F8E8M0 => 8,
        TensorDType.U16 or TensorDType.I16 or TensorDType.F16 or TensorDType.BF16 => 16,
        TensorDType.U32 or TensorDType.I32 or TensorDType.F32 or TensorDType.C32 => 32,
        TensorDType.U64 or TensorDType.I64 or TensorDType.F64 or TensorDType.C64 => 64,
        TensorDType.C128 => 128,
        _ => throw new ArgumentOutOfRangeException(nameof(dtype), dtype, "Not a tensor dtype."),
    };

    /// <summary>Whether an element is a pair of real and imaginary part.</summary>
    public static bool IsComplex(this TensorDType dtype) => dtype is TensorDType.C32 or TensorDType.C64 or TensorDType.C128;

    /// <summary>Finds a dtype by its <see cref="Name"/>; case counts.</summary>
    public static bool TryParse(ReadOnlySpan<char> name, out TensorDType dtype) => ByName.TryGetValue(name, out dtype);
}
