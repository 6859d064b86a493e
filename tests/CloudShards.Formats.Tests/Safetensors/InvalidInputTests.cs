using CloudShards.Formats.Tests.Files;

namespace CloudShards.Formats.Tests.Safetensors;

public sealed class InvalidInputTests
{
    // What GOOD stands for in a header: an entry for all of the data.
    private const string Good = "\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]";

    // A header over 8 bytes of data, the cause of its refusal, and the tensor that the refusal names.
    public static TheoryData<string, CheckpointError, string?> Headers => new()
    {
        // The header as JSON.
        { "{]", CheckpointError.Malformed, null },
        { "{} {}", CheckpointError.Malformed, null },
        { "{}\0\0\0\0\0\0", CheckpointError.Malformed, null },
        { """{"w":{GOOD},}""", CheckpointError.Malformed, null },
        { """{"w":{GOOD} /* */}""", CheckpointError.Malformed, null },
        { """{'w':{GOOD}}""", CheckpointError.Malformed, null },
        { """{"\ud800":{GOOD}}""", CheckpointError.Malformed, null },

        // A name twice, however it is spelled.
        { """{"w":{GOOD},"w":{GOOD}}""", CheckpointError.BadName, "w" },
        { """{"w":{GOOD},"\u0077":{GOOD}}""", CheckpointError.BadName, "w" },
        { """{"w":{"dtype":"F32",GOOD}}""", CheckpointError.BadName, "w" },
        { """{"w":{GOOD,"shap\u0065":[2]}}""", CheckpointError.BadName, "w" },
        { """{"w":{GOOD,"data_offsets":[0,8]}}""", CheckpointError.BadName, "w" },
        { """{"__metadata__":{},"w":{GOOD},"__metadata__":{}}""", CheckpointError.BadName, "__metadata__" },

        // An entry that is no entry.
        { """{"w":null}""", CheckpointError.Malformed, "w" },
        { """{"w":[]}""", CheckpointError.Malformed, "w" },
        { """{"w":"F32"}""", CheckpointError.Malformed, "w" },
        { """{"w":{}}""", CheckpointError.Malformed, "w" },
        { """{"w":{"shape":[2],"data_offsets":[0,8]}}""", CheckpointError.Malformed, "w" },
        { """{"w":{"dtype":"F32","data_offsets":[0,8]}}""", CheckpointError.Malformed, "w" },
        { """{"w":{"dtype":"F32","shape":[2]}}""", CheckpointError.Malformed, "w" },

        // The dtype.
        { """{"w":{"dtype":"f32","shape":[2],"data_offsets":[0,8]}}""", CheckpointError.BadTensor, "w" },
        { """{"w":{"dtype":"","shape":[2],"data_offsets":[0,8]}}""", CheckpointError.BadTensor, "w" },
        { """{"w":{"dtype":"F128","shape":[2],"data_offsets":[0,8]}}""", CheckpointError.BadTensor, "w" },
        { """{"w":{"dtype":null,"shape":[2],"data_offsets":[0,8]}}""", CheckpointError.Malformed, "w" },
        { """{"w":{"dtype":5,"shape":[2],"data_offsets":[0,8]}}""", CheckpointError.Malformed, "w" },

        // The shape.
        { """{"w":{"dtype":"F32","shape":2,"data_offsets":[0,8]}}""", CheckpointError.Malformed, "w" },
        { """{"w":{"dtype":"F32","shape":null,"data_offsets":[0,8]}}""", CheckpointError.Malformed, "w" },
        { """{"w":{"dtype":"F32","shape":["2"],"data_offsets":[0,8]}}""", CheckpointError.Malformed, "w" },
        { """{"w":{"dtype":"F32","shape":[[2]],"data_offsets":[0,8]}}""", CheckpointError.Malformed, "w" },
        { """{"w":{"dtype":"F32","shape":[2.0],"data_offsets":[0,8]}}""", CheckpointError.Malformed, "w" },
        { """{"w":{"dtype":"F32","shape":[2e0],"data_offsets":[0,8]}}""", CheckpointError.Malformed, "w" },
        { """{"w":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}}""", CheckpointError.Malformed, "w" },
        { """{"w":{"dtype":"F32","shape":[18446744073709551618],"data_offsets":[0,8]}}""", CheckpointError.Malformed, "w" },
        { """{"w":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}}""", CheckpointError.BadTensor, "w" },
        { """{"w":{"dtype":"F32","shape":[],"data_offsets":[0,8]}}""", CheckpointError.BadTensor, "w" },
        { """{"w":{"dtype":"F32","shape":[0],"data_offsets":[0,8]}}""", CheckpointError.BadTensor, "w" },
        { """{"w":{"dtype":"F32","shape":[4294967296,4294967296,4],"data_offsets":[0,8]}}""", CheckpointError.BadTensor, "w" },
        { """{"w":{"dtype":"F64","shape":[2305843009213693953],"data_offsets":[0,8]}}""", CheckpointError.BadTensor, "w" },
        { """{"w":{"dtype":"F4","shape":[3],"data_offsets":[0,8]}}""", CheckpointError.BadTensor, "w" },
        { """{"w":{"dtype":"F6_E2M3","shape":[11],"data_offsets":[0,8]}}""", CheckpointError.BadTensor, "w" },

        // The offsets.
        { """{"w":{"dtype":"F32","shape":[2],"data_offsets":[]}}""", CheckpointError.Malformed, "w" },
        { """{"w":{"dtype":"F32","shape":[2],"data_offsets":[0]}}""", CheckpointError.Malformed, "w" },
        { """{"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8,8]}}""", CheckpointError.Malformed, "w" },
        { """{"w":{"dtype":"F32","shape":[2],"data_offsets":{"b":0,"e":8}}}""", CheckpointError.Malformed, "w" },
        { """{"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8.0]}}""", CheckpointError.Malformed, "w" },
        { """{"w":{"dtype":"F32","shape":[2],"data_offsets":[-8,0]}}""", CheckpointError.Malformed, "w" },
        { """{"w":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}}""", CheckpointError.BadTensor, "w" },
        { """{"w":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}""", CheckpointError.BadTensor, "w" },
        { """{"w":{"dtype":"F32","shape":[0],"data_offsets":[9223372036854775807,9223372036854775807]}}""", CheckpointError.Malformed, null },

        // The metadata.
        { """{"__metadata__":null,"w":{GOOD}}""", CheckpointError.Malformed, null },
        { """{"__metadata__":[],"w":{GOOD}}""", CheckpointError.Malformed, null },
        { """{"__metadata__":{"a":1},"w":{GOOD}}""", CheckpointError.Malformed, null },
        { """{"__metadata__":{"a":null},"w":{GOOD}}""", CheckpointError.Malformed, null },
        { """{"__metadata__":{"a":{}},"w":{GOOD}}""", CheckpointError.Malformed, null },
        { """{"__metadata__":{"a":"1","a":"1"},"w":{GOOD}}""", CheckpointError.Malformed, null },
        { """{"__metadata__":{"a":"1","\u0061":"2"},"w":{GOOD}}""", CheckpointError.Malformed, null },
    };

    [Theory]
    [MemberData(nameof(Headers))]
    public void AHeaderThatBreaksARuleIsRefused(string header, CheckpointError error, string? tensor)
    {
        var text = header.Replace("GOOD", Good, StringComparison.Ordinal);
        var refusal = CheckpointBytes.Refuse(SafetensorsBytes.File(text, 8));

        Assert.Equal((error, tensor), (refusal.Error, refusal.Tensor));
        Assert.InRange(refusal.Offset ?? 8, 8, 8 + text.Length);
        Assert.True(tensor is null || refusal.Message.Contains($"`{tensor}", StringComparison.Ordinal), refusal.Message);
    }

    // Tensors a and b over 16 bytes of data, the tensor that the refusal names, and the byte of the data at which the fault lies.
    [Theory]
    [InlineData(0, 8, 4, 12, "b", 4)]
    [InlineData(0, 8, 0, 8, "b", 0)]
    [InlineData(4, 12, 0, 8, "a", 4)]
    [InlineData(0, 16, 4, 12, "b", 4)]
    [InlineData(0, 8, 12, 16, "b", 8)]
    [InlineData(4, 8, 8, 16, "a", 0)]
    [InlineData(8, 16, 4, 8, "b", 0)]
    public void TensorsThatOverlapOrLeaveAHoleAreRefused(long a, long aEnd, long b, long bEnd, string tensor, long at)
    {
        var header = $"{{{SafetensorsBytes.Entry("a", "U8", $"[{aEnd - a}]", a, aEnd)},{SafetensorsBytes.Entry("b", "U8", $"[{bEnd - b}]", b, bEnd)}}}";
        var refusal = CheckpointBytes.Refuse(SafetensorsBytes.File(header, 16));

        Assert.Equal((CheckpointError.BadTensor, tensor, 8 + header.Length + at), (refusal.Error, refusal.Tensor, refusal.Offset));
    }

    [Theory]
    [InlineData(7, CheckpointError.Truncated)]
    [InlineData(0, CheckpointError.Truncated)]
    [InlineData(9, CheckpointError.Malformed)]
    [InlineData(4096, CheckpointError.Malformed)]
    public void DataThatEndsElsewhereIsRefused(int dataBytes, CheckpointError error)
    {
        var header = $"{{\"w\":{{{Good}}}}}";
        var refusal = CheckpointBytes.Refuse(SafetensorsBytes.File(header, dataBytes));

        Assert.Equal((error, 8 + header.Length + Math.Min(8, dataBytes)), (refusal.Error, refusal.Offset));
    }

    [Theory]
    [InlineData(101)]
    [InlineData(100_000_000)]
    public void AHeaderThatEndsBeyondTheFileIsRefused(long length)
    {
        var file = SafetensorsBytes.File("{}".PadRight(100));
        BitConverter.TryWriteBytes(file, length);

        var refusal = CheckpointBytes.Refuse(file);

        Assert.Equal((CheckpointError.Truncated, file.Length), (refusal.Error, refusal.Offset));
    }

    [Fact]
    public void AHeaderAboveTheFormatsBoundIsRefused()
    {
        var file = SafetensorsBytes.File("{}".PadRight(100));
        BitConverter.TryWriteBytes(file, 100_000_001L);

        var refusal = CheckpointBytes.Refuse(file);

        Assert.Equal(CheckpointError.LimitExceeded, refusal.Error);
        Assert.Contains("MaxHeaderBytes", refusal.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(new byte[] { 0xff })]
    [InlineData(new byte[] { 0xc0, 0x80 })]
    [InlineData(new byte[] { 0xed, 0xa0, 0x80 })]
    [InlineData(new byte[] { 0xf4, 0x90, 0x80, 0x80 })]
    public void ANameThatIsNotUtf8IsRefused(byte[] name)
    {
        var refusal = CheckpointBytes.Refuse(SafetensorsBytes.File([.. "{\""u8, .. name, .. "\":{}}"u8], 8));

        Assert.Equal(CheckpointError.Malformed, refusal.Error);
        Assert.Contains("UTF-8", refusal.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void LimitsHold()
    {
        var (abc, d) = (SafetensorsBytes.Entry("abc", "U8", "[1,1,4]", 0, 4), SafetensorsBytes.Entry("d", "U8", "[4]", 4, 8));
        var file = SafetensorsBytes.File("{\"__metadata__\":{\"a\":\"\",\"b\":\"\"}," + abc + "," + d + "}", 8);

        AssertLimit(new() { MaxTensors = 1 }, nameof(CheckpointLimits.MaxTensors));
        AssertLimit(new() { MaxRank = 2 }, nameof(CheckpointLimits.MaxRank));
        AssertLimit(new() { MaxNameLength = 2 }, nameof(CheckpointLimits.MaxNameLength));
        AssertLimit(new() { MaxHeaderBytes = 100 }, nameof(CheckpointLimits.MaxHeaderBytes));
        AssertLimit(new() { MaxValues = 1 }, nameof(CheckpointLimits.MaxValues));
        Assert.Equal(2, CheckpointBytes.Describe(file, new() { MaxTensors = 2, MaxRank = 3, MaxNameLength = 3, MaxValues = 2 }).Tensors.Length);

        void AssertLimit(CheckpointLimits limits, string option)
        {
            var refusal = CheckpointBytes.Refuse(file, limits);
            Assert.Equal(CheckpointError.LimitExceeded, refusal.Error);
            Assert.Contains(option, refusal.Message, StringComparison.Ordinal);
        }
    }

    // What the format allows and a stricter reader might not.
    [Theory]
    [InlineData("{}      ", 0)]
    [InlineData("{\n\t\r }", 0)]
    [InlineData("""{"__metadata__":{}}""", 0)]
    [InlineData("""{"__metadata__":{"":"","é":"\n"}}""", 0)]
    [InlineData("""{"":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}""", 1)]
    [InlineData("""{"w":{"data_offsets":[0,8],"later":{"shape":[[]]},"shape":[2],"dtype":"F32"}}""", 1)]
    [InlineData("""{"e":{"dtype":"F32","shape":[0,4],"data_offsets":[8,8]},"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}""", 2)]
    [InlineData("""{"e":{"dtype":"F32","shape":[0],"data_offsets":[4,4]},"v":{"dtype":"F32","shape":[],"data_offsets":[4,8]},"w":{"dtype":"F32","shape":[],"data_offsets":[0,4]}}""", 3)]
    [InlineData("""{"w":{"dtype":"F4","shape":[4,4],"data_offsets":[0,8]}}""", 1)]
    public void WhatTheFormatAllowsIsRead(string header, int tensors) =>
        Assert.Equal(tensors, CheckpointBytes.Describe(SafetensorsBytes.File(header, tensors == 0 ? 0 : 8)).Tensors.Length);
}
