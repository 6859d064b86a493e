using System.Buffers.Binary;
using System.IO.Compression;
using System.Text.Json;
using CloudShards.Formats;

namespace CloudShards.Testing.Tests;

public sealed class SyntheticCheckpointTests
{
    // The largest is longer than the buffer that files are written through.
    private static readonly SyntheticCheckpoint Checkpoint = new(
    [
        new("fc.weight", TensorDType.F32, [300, 1024]),
        new("fc.bias", TensorDType.BF16, [3]),
        new("step", TensorDType.I64, []),
        new("none", TensorDType.F32, [0, 4]),
        new("mask \"ü\"", TensorDType.Bool, [13]),
    ]);

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task ASafetensorsFileHoldsEveryTensorWhereItsHeaderSays()
    {
        using var stream = new MemoryStream();
        await Checkpoint.WriteSafetensorsAsync(stream, Token);
        var file = stream.ToArray();

        var start = sizeof(ulong) + (int)BinaryPrimitives.ReadInt64LittleEndian(file);
        using var header = JsonDocument.Parse(file.AsMemory(sizeof(ulong)..start));
        Assert.Equal(0, start % 8);
        Assert.Equal(Checkpoint.TensorBytes, file.Length - start);
        Assert.All(Checkpoint.Tensors.Index(), item =>
        {
            var entry = header.RootElement.GetProperty(item.Item.Name);
            var (from, to) = (entry.GetProperty("data_offsets")[0].GetInt32(), entry.GetProperty("data_offsets")[1].GetInt32());
            Assert.Equal(item.Item.DType.Name(), entry.GetProperty("dtype").GetString());
            Assert.Equal(item.Item.Shape, entry.GetProperty("shape").EnumerateArray().Select(size => size.GetInt64()));
            Assert.Equal(Bytes(item.Index), file[(start + from)..(start + to)]);
        });
    }

    [Fact]
    public async Task ATorchZipStoresEveryTensorAsItIs()
    {
        using var stream = new MemoryStream();
        await Checkpoint.WriteTorchZipAsync(stream, Token);

        using var zip = new ZipArchive(stream);
        Assert.Equal(
            ["archive/data.pkl", .. Checkpoint.Tensors.Index().Select(item => $"archive/data/{item.Index}"), "archive/version"],
            zip.Entries.Select(entry => entry.FullName));
        Assert.All(zip.Entries, entry => Assert.Equal(entry.Length, entry.CompressedLength));
        Assert.All(Checkpoint.Tensors.Index(), item =>
        {
            using var content = new MemoryStream();
            zip.GetEntry($"archive/data/{item.Index}")!.Open().CopyTo(content);
            Assert.Equal(Bytes(item.Index), content.ToArray());
        });
    }

    [Theory]
    [InlineData(0, 1)]
    [InlineData(3, 2)]
    [InlineData(5, 11)]
    [InlineData(8, 8)]
    public void AnyPartOfATensorCanBeMadeAgain(int offset, int length)
    {
        var part = new byte[length];
        Checkpoint.Fill(0, offset, part);

        Assert.Equal(Bytes(0)[offset..(offset + length)], part);
    }

    [Fact]
    public void OtherTensorsAndOtherSeedsHoldOtherBytes()
    {
        var other = new SyntheticCheckpoint(Checkpoint.Tensors, seed: 1);
        uint[] words = [Word(Checkpoint, 0), Word(Checkpoint, 1), Word(other, 0), Word(other, 1)];

        Assert.Distinct(words);

        static uint Word(SyntheticCheckpoint checkpoint, int tensor)
        {
            Span<byte> bytes = stackalloc byte[sizeof(uint)];
            checkpoint.Fill(tensor, 0, bytes);
            return BinaryPrimitives.ReadUInt32LittleEndian(bytes);
        }
    }

    [Fact]
    public void BooleansAreZeroOrOne() => Assert.All(Bytes(4), value => Assert.InRange(value, 0, 1));

    private static byte[] Bytes(int tensor)
    {
        var bytes = new byte[Checkpoint.Tensors[tensor].Bytes];
        Checkpoint.Fill(tensor, 0, bytes);
        return bytes;
    }
}
