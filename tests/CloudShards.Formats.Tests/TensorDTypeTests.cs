namespace CloudShards.Formats.Tests;

public sealed class TensorDTypeTests
{
    // Names and sizes of huggingface/safetensors' Dtype, and PyTorch's two complex types that it lacks.
    public static TheoryData<TensorDType, string, int> All => new()
    {
        { TensorDType.Bool, "BOOL", 8 },
        { TensorDType.U8, "U8", 8 },
        { TensorDType.I8, "I8", 8 },
        { TensorDType.U16, "U16", 16 },
        { TensorDType.I16, "I16", 16 },
        { TensorDType.U32, "U32", 32 },
        { TensorDType.I32, "I32", 32 },
        { TensorDType.U64, "U64", 64 },
        { TensorDType.I64, "I64", 64 },
        { TensorDType.F4, "F4", 4 },
        { TensorDType.F6E2M3, "F6_E2M3", 6 },
        { TensorDType.F6E3M2, "F6_E3M2", 6 },
        { TensorDType.F8E4M3, "F8_E4M3", 8 },
        { TensorDType.F8E4M3Fnuz, "F8_E4M3FNUZ", 8 },
        { TensorDType.F8E5M2, "F8_E5M2", 8 },
        { TensorDType.F8E5M2Fnuz, "F8_E5M2FNUZ", 8 },
        { TensorDType.F8E8M0, "F8_E8M0", 8 },
        { TensorDType.F16, "F16", 16 },
        { TensorDType.BF16, "BF16", 16 },
        { TensorDType.F32, "F32", 32 },
        { TensorDType.F64, "F64", 64 },
        { TensorDType.C32, "C32", 32 },
        { TensorDType.C64, "C64", 64 },
        { TensorDType.C128, "C128", 128 },
    };

    [Theory]
    [MemberData(nameof(All))]
    public void EachHasItsNameAndItsSize(TensorDType dtype, string name, int bits)
    {
        Assert.Equal(name, dtype.Name());
        Assert.Equal(bits, dtype.Bits());
        Assert.True(TensorDTypeExtensions.TryParse(name, out var parsed));
        Assert.Equal(dtype, parsed);
        Assert.Equal(name[0] == 'C', dtype.IsComplex());
    }

    [Fact]
    public void TheTableAboveIsComplete() => Assert.Equal(Enum.GetValues<TensorDType>().Length, All.Count);

    [Theory]
    [InlineData("")]
    [InlineData("f32")]
    [InlineData("Bool")]
    [InlineData("F32 ")]
    [InlineData("float32")]
    [InlineData("F8E4M3")]
    public void OtherNamesAreUnknown(string name) => Assert.False(TensorDTypeExtensions.TryParse(name, out _));

    [Fact]
    public void ANumberThatIsNoDTypeHasNoName()
    {
        Assert.Throws<ArgumentOutOfRangeException>(() => ((TensorDType)99).Name());
        Assert.Throws<ArgumentOutOfRangeException>(() => ((TensorDType)99).Bits());
    }
}
