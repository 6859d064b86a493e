using System.Text;
using CloudShards.Formats.Tests.Files;
using static CloudShards.Formats.Tests.Files.PickleBytes;

namespace CloudShards.Formats.Tests.TorchZip;

/// <summary>Zips that are no checkpoints, and those that two readers would see differently.</summary>
public sealed class OtherArchiveTests
{
    [Theory]
    [InlineData("NumPy", "arr_0.npy", "arr_1.npy")]
    [InlineData("other files", "config.json", "model.safetensors")]
    [InlineData("other files", "m/config.json", "m/model.safetensors")]
    [InlineData("other files", "a.npy", "b.txt")]
    [InlineData("other files", "same", "same")]
    public void AnotherZipIsNamed(string kind, string first, string second)
    {
        var refusal = CheckpointBytes.Refuse(new ZipBytes([new(first, [1]) { Method = 8 }, new(second, [2])]).ToArray());

        Assert.Equal((CheckpointError.NotACheckpoint, 0), (refusal.Error, refusal.Offset));
        Assert.Contains(kind, refusal.Message, StringComparison.Ordinal);
        Assert.Contains($"`{first}`", refusal.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("archive/DATA.PKL")]
    [InlineData("archive/DATA/0")]
    [InlineData("archive/Version")]
    public void EntriesThatDifferByCaseAloneAreRefused(string twin)
    {
        var pickle = Pickle(Dict(("w", Tensor(Storage("0", 4), [4]))));
        var refusal = CheckpointBytes.Refuse(new ZipBytes([.. ZipBytes.CheckpointEntries(pickle, ("0", new byte[16])), new(twin, pickle)]).ToArray());

        Assert.Equal(CheckpointError.Malformed, refusal.Error);
        Assert.Contains($"`{twin}`", refusal.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void AnEntryIsFoundByItsExactNameOnly() => Assert.Equal(
        CheckpointError.NotACheckpoint, CheckpointBytes.Refuse(new ZipBytes([new("archive/Data.pkl", Pickle(EmptyDict))]).ToArray()).Error);

    // The files that a state dict of 60, 123 or 128 tensors makes begin like HTML, JSON or a pickle.
    [Theory]
    [InlineData(60)]
    [InlineData(123)]
    [InlineData(128)]
    [InlineData(256)]
    [InlineData(31)]
    public void ATorchSharpStateDictMayHaveAnyNumberOfTensors(int count)
    {
        byte[] start = count < 128 ? [(byte)count] : [(byte)(0x80 | (count & 0x7f)), (byte)(count >> 7)];
        byte[] file =
        [
            .. start,
            .. Enumerable.Range(0, count).SelectMany(i => (byte[])[4, .. Encoding.ASCII.GetBytes($"w{i:000}"), 0, 1, 2, 0xaa, 0xbb]),
        ];

        Assert.Equal(count, CheckpointBytes.Describe(file).Tensors.Length);
    }

    [Fact]
    public void ScalesOfABigEndianArchiveAreSwapped()
    {
        var scales = Tensor(Storage("1", 2, "DoubleStorage"), [2]);
        var zeroPoints = Tensor(Storage("2", 2, "LongStorage"), [2]);
        var tensor = Call(
            "torch._utils", "_rebuild_qtensor", Storage("0", 4, "QInt8Storage"), Integer(0), Numbers(2, 2), Numbers(2, 1),
            Tuple(Global("torch", "per_channel_affine"), scales, zeroPoints, Integer(0)), False, OrderedDict);
        byte[] half = [0x3f, 0xe0, 0, 0, 0, 0, 0, 0];
        byte[] three = [0, 0, 0, 0, 0, 0, 0, 3];
        var zip = new ZipBytes(
        [
            .. ZipBytes.CheckpointEntries(Pickle(Dict(("w", tensor))), ("0", new byte[4]), ("1", [.. half, .. half]), ("2", [.. three, .. three])),
            new("archive/byteorder", "big"u8.ToArray()),
        ]);

        var quantised = CheckpointBytes.Describe(zip.ToArray()).Values.GetProperty("w").GetProperty("$quantized");

        Assert.Equal("[0.5,0.5]", quantised.GetProperty("scale").GetRawText());
        Assert.Equal("[3,3]", quantised.GetProperty("zero_point").GetRawText());
    }
}
