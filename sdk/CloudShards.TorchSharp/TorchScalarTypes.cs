using System.Collections.Frozen;
using CloudShards.Formats;
using static TorchSharp.torch;

namespace CloudShards;

/// <summary>Which of TorchSharp's scalar types has the elements of which dtype.</summary>
internal static class TorchScalarTypes
{
    // The numbers are libtorch's (c10/core/ScalarType.h). It holds, copies and converts these types; TorchSharp's enum lacks their names.
    private const ScalarType ComplexHalf = (ScalarType)8;
    private const ScalarType Float8E5M2 = (ScalarType)23;
    private const ScalarType Float8E4M3Fn = (ScalarType)24;
    private const ScalarType Float8E5M2Fnuz = (ScalarType)25;
    private const ScalarType Float8E4M3Fnuz = (ScalarType)26;
    private const ScalarType UInt16 = (ScalarType)27;
    private const ScalarType UInt32 = (ScalarType)28;
    private const ScalarType UInt64 = (ScalarType)29;
    private const ScalarType Float8E8M0Fnu = (ScalarType)44;

    private static readonly FrozenDictionary<TensorDType, ScalarType> ByDType = new Dictionary<TensorDType, ScalarType>
    {
        [TensorDType.Bool] = ScalarType.Bool,
        [TensorDType.U8] = ScalarType.Byte,
        [TensorDType.I8] = ScalarType.Int8,
        [TensorDType.U16] = UInt16,
        [TensorDType.I16] = ScalarType.Int16,
        [TensorDType.U32] = UInt32,
        [TensorDType.I32] = ScalarType.Int32,
        [TensorDType.U64] = UInt64,
        [TensorDType.I64] = ScalarType.Int64,
        [TensorDType.F8E4M3] = Float8E4M3Fn,
        [TensorDType.F8E4M3Fnuz] = Float8E4M3Fnuz,
        [TensorDType.F8E5M2] = Float8E5M2,
        [TensorDType.F8E5M2Fnuz] = Float8E5M2Fnuz,
        [TensorDType.F8E8M0] = Float8E8M0Fnu,
        [TensorDType.F16] = ScalarType.Float16,
        [TensorDType.BF16] = ScalarType.BFloat16,
        [TensorDType.F32] = ScalarType.Float32,
        [TensorDType.F64] = ScalarType.Float64,
        [TensorDType.C32] = ComplexHalf,
        [TensorDType.C64] = ScalarType.ComplexFloat32,
        [TensorDType.C128] = ScalarType.ComplexFloat64,
    }.ToFrozenDictionary();

    private static readonly FrozenDictionary<ScalarType, TensorDType> ByScalarType =
        ByDType.ToFrozenDictionary(pair => pair.Value, pair => pair.Key);

    /// <summary>The scalar type of a dtype; false for those packed below a byte, which libtorch does not hold.</summary>
    public static bool TryGetScalarType(this TensorDType dtype, out ScalarType scalarType) => ByDType.TryGetValue(dtype, out scalarType);

    /// <summary>The dtype of a scalar type; false for quantised ones, whose bytes mean nothing without their scales.</summary>
    public static bool TryGetDType(this ScalarType scalarType, out TensorDType dtype) => ByScalarType.TryGetValue(scalarType, out dtype);
}
