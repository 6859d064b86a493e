using CloudShards.Formats.Tests.Files;
using static CloudShards.Formats.Tests.Files.PickleBytes;

namespace CloudShards.Formats.Tests;

public sealed class CheckpointParserTests
{
    private static readonly byte[] Safetensors = SafetensorsBytes.File($"{{{SafetensorsBytes.Entry("w", "F32", "[2]", 0, 8)}}}", 8);

    private static readonly byte[] LongSafetensors =
        SafetensorsBytes.File($"{{{SafetensorsBytes.Entry("w", "F32", "[2]", 0, 8)}}}".PadRight(20_000), 8);

    private static readonly byte[] Zip = ZipBytes.Checkpoint(
        Pickle(Dict(("a", Tensor(Storage("0", 4), [2, 2])), ("b", Tensor(Storage("1", 1), [])), ("tied", Tensor(Storage("0", 4), [4])))),
        ("0", new byte[16]),
        ("1", new byte[4]));

    [Fact]
    public void ASafetensorsFileCostsOneReadOfItsHead() => Assert.Equal([[new(0, Safetensors.Length)]], Rounds(Safetensors));

    [Fact]
    public void ALongSafetensorsHeaderCostsASecondRead() =>
        Assert.Equal([[new(0, 16 << 10)], [new(0, 8 + 20_000)]], Rounds(LongSafetensors));

    [Fact]
    public void AZipCostsItsHeadTailDirectoryPickleAndOneLocalHeaderAStorage()
    {
        var directory = Zip.AsSpan().IndexOf("PK\u0001\u0002"u8);
        var end = Zip.Length - 22;
        var first = Zip.AsSpan().IndexOf("archive/data/0"u8) - 30;
        var second = Zip.AsSpan().IndexOf("archive/data/1"u8) - 30;

        Assert.Equal(
            [
                [new(0, Zip.Length)],
                [new(0, Zip.Length)],
                [new(directory, end - directory)],
                [new(0, first)],
                [new(first, 30 + 14), new(second, 30 + 14)],
            ],
            Rounds(Zip));
    }

    [Fact]
    public void NothingIsWantedOnceAFileIsDescribed()
    {
        var parser = new CheckpointParser(Safetensors.Length);
        Assert.Throws<InvalidOperationException>(() => parser.Description);

        parser.Supply([Safetensors]);

        Assert.Empty(parser.Wanted);
        Assert.Same(parser.Description, parser.Description);
        Assert.Throws<InvalidOperationException>(() => parser.Supply([Safetensors]));
        Assert.Throws<InvalidOperationException>(() => parser.Supply([]));
        Assert.Single(parser.Description.Tensors);
    }

    [Fact]
    public void BytesThatDoNotMatchTheRangesAreAnErrorOfTheCallerAndChangeNothing()
    {
        var parser = new CheckpointParser(Safetensors.Length);

        Assert.Throws<ArgumentNullException>(() => parser.Supply(null!));
        Assert.Throws<ArgumentException>(() => parser.Supply([]));
        Assert.Throws<ArgumentException>(() => parser.Supply([Safetensors, Safetensors]));
        Assert.Throws<ArgumentException>(() => parser.Supply([Safetensors.AsMemory(1)]));
        Assert.Throws<ArgumentException>(() => parser.Supply([(byte[])[.. Safetensors, 0]]));

        parser.Supply([Safetensors]);
        Assert.Single(parser.Description.Tensors);
    }

    [Fact]
    public void ARefusedFileStaysRefused()
    {
        var file = SafetensorsBytes.File("{]");
        var parser = new CheckpointParser(file.Length);
        Assert.Throws<CheckpointFormatException>(() => parser.Supply([file]));

        Assert.Empty(parser.Wanted);
        Assert.Throws<InvalidOperationException>(() => parser.Description);
        Assert.Throws<InvalidOperationException>(() => parser.Supply([file]));
    }

    [Fact]
    public void ALengthBelowZeroIsAnErrorOfTheCaller() => Assert.Throws<ArgumentOutOfRangeException>(() => new CheckpointParser(-1));

    // An empty range cannot be asked for over HTTP.
    [Fact]
    public void AnEmptyFileIsRefusedWithoutARead() =>
        Assert.Equal(CheckpointError.NotACheckpoint, Assert.Throws<CheckpointFormatException>(() => new CheckpointParser(0)).Error);

    // What a file of that length could be asked for never overflows.
    [Theory]
    [InlineData(1L << 40)]
    [InlineData(long.MaxValue)]
    public void AFileMayHaveAnyLength(long length)
    {
        var parser = new CheckpointParser(length);
        Assert.Equal([new(0, 16 << 10)], parser.Wanted);

        var head = new byte[16 << 10];
        "PK\u0003\u0004"u8.CopyTo(head);
        parser.Supply([head]);

        Assert.Equal([new(length - 65_633, 65_633)], parser.Wanted);
        Assert.Equal(CheckpointError.Truncated, Assert.Throws<CheckpointFormatException>(() => parser.Supply([new byte[65_633]])).Error);
    }

    private static List<ByteRange[]> Rounds(byte[] file)
    {
        var rounds = new List<ByteRange[]>();
        var parser = new CheckpointParser(file.Length);
        while (!parser.Wanted.IsEmpty)
        {
            rounds.Add([.. parser.Wanted]);
            parser.Supply([.. parser.Wanted.Select(range => (ReadOnlyMemory<byte>)file.AsMemory((int)range.Offset, (int)range.Length))]);
        }

        return rounds;
    }
}
