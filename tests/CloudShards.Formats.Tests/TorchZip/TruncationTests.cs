using CloudShards.Formats.Tests.Files;
using static CloudShards.Formats.Tests.Files.PickleBytes;

namespace CloudShards.Formats.Tests.TorchZip;

public sealed class TruncationTests
{
    private static readonly byte[] Content = Pickle(
        OrderedDict, "("u8.ToArray(), Text("w"), Tensor(Storage("0", 4), [2, 2]), Text("lr"), Float(0.1), Text("n"), List(Integer(7), True), "u"u8.ToArray());

    private static readonly byte[] Small = ZipBytes.Checkpoint(Content, ("0", new byte[16]));

    private static readonly byte[] Whole = new ZipBytes(
        [.. ZipBytes.CheckpointEntries(Content, ("0", new byte[16])), new("archive/byteorder", "big"u8.ToArray())])
    {
        Zip64 = true,
        Comment = "of some length"u8.ToArray(),
    }.ToArray();

    [Fact]
    public void EveryProperPrefixIsRefused()
    {
        foreach (var file in (byte[][])[Small, Whole])
        {
            CheckpointBytes.Describe(file);
            for (var length = 0; length < file.Length; length++)
            {
                CheckpointBytes.Refuse(file[..length]);
            }
        }
    }

    [Fact]
    public void EveryProperPrefixOfThePickleIsRefused()
    {
        for (var length = 0; length < Content.Length; length++)
        {
            CheckpointBytes.Refuse(ZipBytes.Checkpoint(Content[..length], ("0", new byte[16])));
        }
    }

    [Fact]
    public void EveryDamagedByteLeavesADescriptionOrARefusal()
    {
        for (var i = 0; i < Whole.Length; i++)
        {
            for (var bit = 0; bit < 10; bit++)
            {
                byte[] damaged = [.. Whole];
                damaged[i] = bit switch { 8 => 0, 9 => 0xff, _ => (byte)(damaged[i] ^ (1 << bit)) };
                CheckpointBytes.TryDescribe(damaged);
            }
        }
    }

    [Fact]
    public void EveryDamagedByteOfThePickleLeavesADescriptionOrARefusal()
    {
        for (var i = 0; i < Content.Length; i++)
        {
            for (var value = 0; value <= byte.MaxValue; value++)
            {
                byte[] damaged = [.. Content];
                damaged[i] = (byte)value;
                CheckpointBytes.TryDescribe(ZipBytes.Checkpoint(damaged, ("0", new byte[16])));
            }
        }
    }
}
