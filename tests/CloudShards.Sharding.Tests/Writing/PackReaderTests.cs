using System.Buffers.Binary;
using System.Collections.Immutable;
using CloudShards.Formats;

namespace CloudShards.Sharding.Tests.Writing;

public sealed class PackReaderTests
{
    private static readonly byte[] Content = Bytes(1, 1 << 20);

    private readonly byte[] _buffer = new byte[ShardingOptions.BufferedBytes];

    /// <summary>Where a pack's tensors lie in the file, and what is read.</summary>
    public static TheoryData<string, string> Places => new()
    {
        { "0..10 10..110", "0..110" },
        { "0..10 5000..5004 200000..200100", "0..200100" },
        { "0..10 262154..262160", "0..262160" },
        { "0..10 262155..262160", "0..10 262155..262160" },
        { "700000..700010 0..10 300000..300010", "0..10 300000..300010 700000..700010" },
        { "900000..900100 5000..5004 0..10", "0..5004 900000..900100" },
        { "0..100 50..150 60..70", "0..150" },
    };

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Theory]
    [MemberData(nameof(Places))]
    public async Task NearNeighboursAreReadTogetherAndAllLieBackToBack(string places, string reads)
    {
        var ranges = places.Split(' ').Select(place => place.Split("..").Select(int.Parse).ToArray()).ToList();
        var source = new SourceOf(Content, default);

        var shards = await new PackReader([source]).ReadAsync(
            [.. ranges.Select((range, i) => Descriptions.Tensor($"t{i}", range[0], [range[1] - range[0]], TensorDType.U8))], _buffer, Token);

        Assert.Equal(ranges.Select(range => Content[range[0]..range[1]]), shards.Select(shard => shard.ToArray()));
        AssertBackToBack(shards);
        Assert.Equal(reads, string.Join(' ', source.Reads.OrderBy(read => read.Offset)));
    }

    [Fact]
    public async Task AFullPackOfNeighboursIsReadWindowByWindow()
    {
        var content = Bytes(2, PackPlanner.MaxPackBytes);
        var source = new SourceOf(content, default);

        var shards = await new PackReader([source]).ReadAsync(
            [.. Enumerable.Range(0, 192).Select(i => Descriptions.Tensor($"t{i}", i << 16, [1 << 16], TensorDType.U8))], _buffer, Token);

        AssertBackToBack(shards);
        Assert.True(_buffer.AsSpan(0, content.Length).SequenceEqual(content));
        Assert.Equal(3, source.Reads.Count);
    }

    [Fact]
    public async Task TensorsOfSeveralFilesAreReadFromTheirOwn()
    {
        var (first, second) = (new SourceOf(Content, default), new SourceOf(Bytes(3, 1000), default));
        ImmutableArray<TensorInfo> tensors =
        [
            Descriptions.Tensor("a", 0, [100], TensorDType.U8),
            Descriptions.Tensor("b", 0, [50], TensorDType.U8) with { File = 1 },
            Descriptions.Tensor("c", 200, [30], TensorDType.U8),
            Descriptions.Tensor("d", 900, [100], TensorDType.U8) with { File = 1 },
        ];

        var shards = await new PackReader([first, second]).ReadAsync(tensors, _buffer, Token);

        Assert.Equal([Content[..100], Bytes(3, 1000)[..50], Content[200..230], Bytes(3, 1000)[900..]], shards.Select(shard => shard.ToArray()));
        AssertBackToBack(shards);
        Assert.Equal([new ByteRange(0, 230)], first.Reads);
        Assert.Equal([new ByteRange(0, 1000)], second.Reads);
    }

    [Fact]
    public async Task ViewsAndBigEndianTensorsArePackedAsTheyAreShown()
    {
        var matrix = Descriptions.Tensor("matrix", 1000, [2, 3]);
        ImmutableArray<TensorInfo> tensors =
        [
            Descriptions.Tensor("before", 0, [3]),
            matrix with { Name = "transposed", Shape = [3, 2], Layout = matrix.Layout with { Strides = [1, 3] } },
            matrix with { Name = "big-endian", Layout = matrix.Layout with { Transform = ElementTransform.SwapBytes } },
            matrix with { Name = "last row", Shape = [3], Layout = matrix.Layout with { ElementOffset = 3 } },
            matrix with { Name = "expanded", Shape = [4], Layout = matrix.Layout with { Strides = [0], ElementOffset = 5 } },
        ];

        var shards = await new PackReader([new SourceOf(Content, default)]).ReadAsync(tensors, _buffer, Token);

        uint[] elements = [.. Enumerable.Range(0, 6).Select(i => BinaryPrimitives.ReadUInt32LittleEndian(Content.AsSpan(1000 + (4 * i))))];
        Assert.Equal(Content[..12], shards[0].ToArray());
        Assert.Equal([elements[0], elements[3], elements[1], elements[4], elements[2], elements[5]], Elements(shards[1]));
        Assert.Equal(elements.Select(BinaryPrimitives.ReverseEndianness), Elements(shards[2]));
        Assert.Equal(elements[3..], Elements(shards[3]));
        Assert.Equal(Enumerable.Repeat(elements[5], 4), Elements(shards[4]));
        AssertBackToBack(shards);
    }

    private static IEnumerable<uint> Elements(Memory<byte> shard) =>
        shard.ToArray().Chunk(4).Select(element => BinaryPrimitives.ReadUInt32LittleEndian(element));

    private void AssertBackToBack(Memory<byte>[] shards) =>
        Assert.True(_buffer.AsSpan(0, shards.Sum(shard => shard.Length)).SequenceEqual(shards.SelectMany(shard => shard.ToArray()).ToArray()));

    private static byte[] Bytes(int seed, int length)
    {
        var content = new byte[length];
        new Random(seed).NextBytes(content);
        return content;
    }
}
