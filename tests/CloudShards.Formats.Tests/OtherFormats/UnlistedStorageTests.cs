using System.Buffers.Binary;
using CloudShards.Formats.Tests.Files;
using static CloudShards.Formats.Tests.Files.PickleBytes;

namespace CloudShards.Formats.Tests.OtherFormats;

/// <summary>Files of before PyTorch 1.6 hold a storage for every tensor that was pickled, listed or not.</summary>
public sealed class UnlistedStorageTests
{
    private static readonly byte[] Net = Join(
        Global("m", "Net"), [(byte)')', 0x81],
        Dict(
            ("_parameters", Dict(("w", Tensor(Old("0", 4), [4])))),
            ("_buffers", Dict(("position_ids", Tensor(Old("1", 4), [4])))),
            ("_modules", EmptyDict),
            ("_non_persistent_buffers_set", Call("__builtin__", "set", List(Text("position_ids"))))),
        "b"u8.ToArray());

    [Fact]
    public void ABufferThatIsNotSavedHasItsStorage()
    {
        var tensor = Assert.Single(CheckpointBytes.Describe(Legacy(Net, "0", "1")).Tensors);

        Assert.Equal("w", tensor.Name);
    }

    [Fact]
    public void AStorageThatNothingSpeaksOfIsRefused() =>
        Assert.Equal(CheckpointError.Malformed, CheckpointBytes.Refuse(Legacy(Net, "0", "1", "2")).Error);

    [Fact]
    public void AStorageThatTheListForgetsIsRefused() => Assert.Equal(CheckpointError.Malformed, CheckpointBytes.Refuse(Legacy(Net, "0")).Error);

    [Fact]
    public void AStorageOfTwoLengthsIsRefused()
    {
        var file = Legacy(Dict(("a", Tensor(Old("0", 4), [4])), ("b", Tensor(Old("0", 3), [3]))), "0");

        Assert.Equal(CheckpointError.BadTensor, CheckpointBytes.Refuse(file).Error);
    }

    private static byte[] Old(string key, int elements) =>
        [.. Tuple(Text("storage"), Global("torch", "FloatStorage"), Text(key), Text("cpu"), Integer(elements), None), (byte)'Q'];

    private static byte[] Legacy(byte[] root, params string[] keys)
    {
        var record = new byte[24];
        BinaryPrimitives.WriteInt64LittleEndian(record, 4);
        return
        [
            .. Pickle([0x8a, 0x0a, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19]), .. Pickle(Integer(1001)),
            .. Pickle(Dict(("protocol_version", Integer(1001)), ("little_endian", True))), .. Pickle(root),
            .. Pickle(List([.. keys.Select(key => Text(key))])), .. keys.SelectMany(_ => record),
        ];
    }
}
