using System.Collections.Immutable;
using System.Text;
using System.Text.Json;
using CsCheck;

namespace CloudShards.Formats.Tests.Manifest;

public sealed class ManifestTests
{
    // The canonical form is a promise: a manifest's digest is over these bytes.
    [Fact]
    public void ItIsWrittenInOneForm()
    {
        const string Lines =
            """
            {"schema":"cloudshards/1","name":"llama-3-8b",
            "source":[{"path":"llama-3-8b/model.safetensors","bytes":1234,"format":"safetensors"}],
            "chunkBytes":16,
            "tensors":[
            {"name":"lm_head.weight","dtype":"BF16","shape":[4,5],"bytes":40,
            "digest":"sha256:df3598cd66f1bb5bc4e2c17be89b7c7ecf0c81e53939f471a6b72db8d139edae",
            "chunks":["0000000000000000","0123456789abcdef","02468acf13579bde"]},
            {"name":"n\u00E4me\u0000\u0022\u003C\u003E","dtype":"F4","shape":[2],"bytes":1,
            "digest":"sha256:df3598cd66f1bb5bc4e2c17be89b7c7ecf0c81e53939f471a6b72db8d139edae","chunks":["0000000000000000"]},
            {"name":"","dtype":"I64","shape":[],"bytes":8,
            "digest":"sha256:df3598cd66f1bb5bc4e2c17be89b7c7ecf0c81e53939f471a6b72db8d139edae","chunks":["0000000000000000"]},
            {"name":"empty","dtype":"F32","shape":[3,0],"bytes":0,
            "digest":"sha256:df3598cd66f1bb5bc4e2c17be89b7c7ecf0c81e53939f471a6b72db8d139edae","chunks":[]}],
            "packs":[{"digest":"sha256:4862f447f2c7f272fa2f4aaf89dadb3b1ac09105bd5864f8d1a0c9452bb0a226","bytes":9,
            "tensors":[{"name":"","offset":0},{"name":"n\u00E4me\u0000\u0022\u003C\u003E","offset":8}]}],
            "metadata":{"B":"2","a":"","b":"1"},
            "values":{"epoch":3,"lr":1.0,"classes":["0",null,[true,1e400]],"\u00E9":{"$bytes":"AA=="}}}
            """;

        Assert.Equal(Lines.ReplaceLineEndings(""), Encoding.UTF8.GetString(ManifestBytes.Full.ToUtf8()));
    }

    [Fact]
    public void TheLeastManifestIsWrittenInOneForm() => Assert.Equal(
        """{"schema":"cloudshards/1","name":"a","source":[],"chunkBytes":1,"tensors":[],"metadata":{},"values":{}}""",
        Encoding.UTF8.GetString(ManifestBytes.Empty.ToUtf8()));

    [Fact]
    public void ItReadsBackAsItWasWritten()
    {
        var read = ShardManifest.Parse(ManifestBytes.Full.ToUtf8());

        Assert.Equal(ManifestBytes.Full.ToUtf8(), read.ToUtf8());
        Assert.Equal(ManifestBytes.Full.Tensors.Select(tensor => tensor with { Chunks = [] }), read.Tensors.Select(tensor => tensor with { Chunks = [] }));
        Assert.Equal(ManifestBytes.Full.Tensors.SelectMany(tensor => tensor.Chunks), read.Tensors.SelectMany(tensor => tensor.Chunks));
        Assert.Equal(ManifestBytes.Full.Source, read.Source);
        Assert.Equal(ManifestBytes.Full.Packs[0].Tensors, read.Packs[0].Tensors);
        Assert.Equal(["B", "a", "b"], read.Metadata.Keys);
        Assert.Equal("1.0", read.Values.GetProperty("lr").GetRawText());
    }

    [Fact]
    public void ItsMetadataIsOrderedTheSameInEveryCulture() =>
        Assert.Same(StringComparer.Ordinal, ShardManifest.Parse(ManifestBytes.Full.ToUtf8()).Metadata.KeyComparer);

    [Fact]
    public void ItIsWrittenTheSameWhateverOrderItsMetadataHad()
    {
        var shouted = ManifestBytes.Empty with { Metadata = ImmutableSortedDictionary.CreateRange<string, string>(StringComparer.OrdinalIgnoreCase, [new("b", ""), new("A", ""), new("C", "")]) };

        Assert.Contains("""{"A":"","C":"","b":""}""", Encoding.UTF8.GetString(shouted.ToUtf8()), StringComparison.Ordinal);
    }

    [Fact]
    public void ParsingKeepsNothingOfTheCallersBytes()
    {
        var bytes = ManifestBytes.Full.ToUtf8();
        var manifest = ShardManifest.Parse(bytes);
        bytes.AsSpan().Clear();

        Assert.Equal(ManifestBytes.Full.ToUtf8(), manifest.ToUtf8());
    }

    [Fact]
    public void OrderSpacesAndUnknownPropertiesDoNotMatterToAReader()
    {
        var read = ShardManifest.Parse("""
            { "later": [{}], "values": {}, "metadata": {}, "tensors": [ ], "chunkBytes": 1, "source": [], "name": "a", "schema": "cloudshards/1" }
            """u8);

        Assert.Equal(ManifestBytes.Empty.ToUtf8(), read.ToUtf8());
    }

    [Theory]
    [InlineData("\"cloudshards/2\"")]
    [InlineData("\"\"")]
    public void AnotherVersionIsRefusedAsOne(string schema)
    {
        var refusal = Refuse(ManifestBytes.With("schema", schema));

        Assert.Equal(CheckpointError.Unsupported, refusal.Error);
        Assert.Contains("newer version", refusal.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void AnotherVersionIsRefusedAsOneWhateverElseItHolds() =>
        Assert.Equal(CheckpointError.Unsupported, Refuse("""{"schema":"cloudshards/2","name":"a","chunkBytes":1,"tensors":{"w":"F3"}}""").Error);

    [Theory]
    [MemberData(nameof(BrokenManifests.Form), MemberType = typeof(BrokenManifests))]
    public void ABrokenFormIsRefused(string path, string? json) =>
        Assert.Equal(CheckpointError.Malformed, Refuse(ManifestBytes.With(path, json)).Error);

    [Theory]
    [MemberData(nameof(BrokenManifests.Sense), MemberType = typeof(BrokenManifests))]
    public void AContradictionIsRefused(string path, string? json, CheckpointError error, string? tensor)
    {
        var refusal = Refuse(ManifestBytes.With(path, json));

        Assert.Equal((error, tensor), (refusal.Error, refusal.Tensor));
    }

    [Theory]
    [InlineData("""{"schema":"cloudshards/1","name":"a","name":"b","chunkBytes":1,"tensors":[]}""")]
    [InlineData("""{"schema":"cloudshards/1","name":"a","n\u0061me":"b","chunkBytes":1,"tensors":[]}""")]
    [InlineData("""{"schema":"cloudshards/1","name":"a","chunkBytes":1,"tensors":[],"metadata":{"a":"","a":""}}""")]
    [InlineData("""{"schema":"cloudshards/1","name":"a","chunkBytes":1,"tensors":[],"values":{"a":1,"a":2}}""")]
    [InlineData("""{"schema":"cloudshards/1","name":"a","chunkBytes":1,"tensors":[],"values":{"a":"\ud800"}}""")]
    [InlineData("""{"schema":"cloudshards/1","name":"\ud800","chunkBytes":1,"tensors":[]}""")]
    [InlineData("""{"schema":"cloudshards/1","name":"a","chunkBytes":1,"tensors":[]} {}""")]
    [InlineData("""{"schema":"cloudshards/1","name":"a","chunkBytes":1,"tensors":[],}""")]
    [InlineData("""{"schema":"cloudshards/1","name":"a","chunkBytes":1,"tensors":[{"name":null,"name":"w","dtype":"U8","shape":[0],"bytes":0,"digest":"sha256:4862f447f2c7f272fa2f4aaf89dadb3b1ac09105bd5864f8d1a0c9452bb0a226","chunks":[]}],"source":[],"metadata":{},"values":{}}""")]
    [InlineData("")]
    [InlineData("null")]
    [InlineData("7")]
    [InlineData("[]")]
    public void WhatReadersOfJsonWouldTakeDifferentlyIsRefused(string json) => Assert.Equal(CheckpointError.Malformed, Refuse(json).Error);

    [Theory]
    [InlineData("""{"name":"","offset":0}""", true)]
    [InlineData("""{"offset":0,"name":""}""", true)]
    [InlineData("""{"later":{"name":"","offset":[1]},"name":"","offset":0,"more":[{}]}""", true)]
    [InlineData("""{"name":"","offset":0,"later":1,"later":2}""", true)]
    [InlineData("""{"name":"","name":"","offset":0}""", false)]
    [InlineData("""{"name":null,"name":"","offset":0}""", false)]
    [InlineData("""{"name":"","n\u0061me":"","offset":0}""", false)]
    [InlineData("""{"name":"","offset":0,"offset":0}""", false)]
    [InlineData("""{"name":"","offset":null,"offset":0}""", false)]
    [InlineData("""{"name":"","offset":1e30}""", false)]
    [InlineData("""{"name":"","offset":9223372036854775808}""", false)]
    [InlineData("""{"name":"\ud800","offset":0}""", false)]
    [InlineData("""{"name":"","offset":true}""", false)]
    public void ATensorsPlaceInAPackIsReadLikeATensor(string place, bool isTaken)
    {
        var json = Encoding.UTF8.GetString(ManifestBytes.Full.ToUtf8()).Replace("""{"name":"","offset":0}""", place, StringComparison.Ordinal);

        if (isTaken)
        {
            Assert.Equal(ManifestBytes.Full.ToUtf8(), ShardManifest.Parse(Encoding.UTF8.GetBytes(json)).ToUtf8());
        }
        else
        {
            Assert.Equal(CheckpointError.Malformed, Refuse(json).Error);
        }
    }

    // Whoever reads a pack compares each tensor with its sums, so that it does not matter what else is said to lie there.
    [Fact]
    public void PacksMayOverlapAndHaveGaps()
    {
        var manifest = ManifestBytes.Full with { Packs = [new(Digest.Of([]), long.MaxValue, [new("", long.MaxValue - 8), new("lm_head.weight", 4), new("", 0)])] };

        Assert.Equal(manifest.ToUtf8(), ShardManifest.Parse(manifest.ToUtf8()).ToUtf8());
    }

    [Fact]
    public void BytesThatAreNotUtf8AreRefused() => Assert.Equal(
        CheckpointError.Malformed,
        Assert.Throws<CheckpointFormatException>(() => ShardManifest.Parse([.. "{\"name\":\""u8, 0xff, .. "\"}"u8])).Error);

    [Fact]
    public void EveryProperPrefixIsRefused()
    {
        var bytes = ManifestBytes.Full.ToUtf8();
        for (var length = 0; length < bytes.Length; length++)
        {
            Assert.Throws<CheckpointFormatException>(() => ShardManifest.Parse(bytes.AsSpan(0, length)));
        }
    }

    [Fact]
    public void EveryDamagedByteLeavesAManifestOrARefusal()
    {
        var bytes = ManifestBytes.Full.ToUtf8();
        for (var i = 0; i < bytes.Length; i++)
        {
            foreach (byte value in (byte[])[0, (byte)'"', (byte)'9', (byte)']', (byte)'\\', 0xff, (byte)(bytes[i] ^ 1), (byte)(bytes[i] ^ 0x20)])
            {
                byte[] damaged = [.. bytes[..i], value, .. bytes[(i + 1)..]];
                try
                {
                    ShardManifest.Parse(ShardManifest.Parse(damaged).ToUtf8());
                }
                catch (CheckpointFormatException)
                {
                }
            }
        }
    }

    [Fact]
    public void LimitsHold()
    {
        var bytes = ManifestBytes.Full.ToUtf8();

        Assert.Equal(CheckpointError.LimitExceeded, Refuse(new() { MaxManifestBytes = bytes.Length - 1 }).Error);
        Assert.Equal(CheckpointError.LimitExceeded, Refuse(new() { MaxTensors = 3 }).Error);
        Assert.Equal(CheckpointError.LimitExceeded, Refuse(new() { MaxRank = 1 }).Error);
        ShardManifest.Parse(bytes, new() { MaxManifestBytes = bytes.Length, MaxTensors = 4, MaxRank = 2 });

        CheckpointFormatException Refuse(CheckpointLimits limits) => Assert.Throws<CheckpointFormatException>(() => ShardManifest.Parse(bytes, limits));
    }

    [Fact]
    public void EveryManifestReadsBackAsTheSameBytes() => Manifests.Sample(manifest =>
    {
        var bytes = manifest.ToUtf8();
        Assert.Equal(bytes, ShardManifest.Parse(bytes).ToUtf8());
    });

    private static readonly Gen<string> Texts = Gen.OneOf(
        Gen.String[Gen.Char["ab.AZ09 _"], 0, 8],
        Gen.String[0, 8].Where(text => !text.Any(char.IsSurrogate)),
        Gen.Const("\U0001f642\u0301\ufeff\u2028\0"));

    private static readonly Gen<ShardedTensor> Tensors =
        Gen.Select(Texts, Gen.Enum<TensorDType>(), Gen.Long[0, 5].Array[0, 4], Gen.Byte.Array[32], (name, dtype, sizes, hash) =>
        {
            var shape = TensorShape.Create([.. sizes.Append(4)]);
            var bytes = shape.ByteCount(dtype);
            return new ShardedTensor(name, dtype, shape, bytes, new(hash), [.. Enumerable.Range(0, (int)((bytes + 99) / 100)).Select(i => (ulong)i * 0x9e3779b97f4a7c15)]);
        });

    private static readonly Gen<string> Json = Gen.Recursive<string>((depth, json) => Gen.OneOf(
        Gen.OneOfConst("null", "true", "false", "0", "-1.50", "1E+400", "\"\\u00e9\""),
        Gen.Long.Select(number => JsonSerializer.Serialize(number)),
        Texts.Select(text => JsonSerializer.Serialize(text)),
        (depth > 4 ? Gen.Const("null") : json).Array[0, 3].Select(items => $"[{string.Join(',', items)}]")));

    private static readonly Gen<ShardManifest> Manifests = Gen.Select(
        Tensors.Array[0, 6], Gen.Dictionary(Texts, Texts)[0, 4], Gen.Dictionary(Texts, Json)[0, 4], Gen.Bool, (tensors, metadata, values, packed) =>
        {
            ImmutableArray<ShardedTensor> unique = [.. tensors.DistinctBy(tensor => tensor.Name)];
            return new ShardManifest
            {
                Name = "team/a",
                ChunkBytes = 100,
                Source = [.. metadata.Keys.Select(path => new ManifestSource(path, path.Length, "torch-zip"))],
                Tensors = unique,
                Packs = packed ? [new(Digest.Of([]), unique.Sum(tensor => tensor.Bytes), [.. unique.Select(tensor => new PackedTensor(tensor.Name, 0))])] : default,
                Metadata = metadata.ToImmutableSortedDictionary(StringComparer.Ordinal),
                Values = JsonElement.Parse($"{{{string.Join(',', values.Select(value => $"{JsonSerializer.Serialize(value.Key)}:{value.Value}"))}}}"),
            };
        });

    private static CheckpointFormatException Refuse(string json) =>
        Assert.Throws<CheckpointFormatException>(() => ShardManifest.Parse(Encoding.UTF8.GetBytes(json)));

    // A reader rents a buffer of one chunk before it has read a byte of it.
    [Fact]
    public void AChunkIsBounded()
    {
        var most = CheckpointLimits.Default.MaxChunkBytes;
        var refusal = Assert.Throws<CheckpointFormatException>(() => ShardManifest.Parse((ManifestBytes.Empty with { ChunkBytes = most + 1 }).ToUtf8()));

        Assert.Equal(CheckpointError.LimitExceeded, refusal.Error);
        Assert.Equal(most, ShardManifest.Parse((ManifestBytes.Empty with { ChunkBytes = most }).ToUtf8()).ChunkBytes);
        Assert.Equal(
            most + 1,
            ShardManifest.Parse((ManifestBytes.Empty with { ChunkBytes = most + 1 }).ToUtf8(), new() { MaxChunkBytes = most + 1 }).ChunkBytes);
    }
}
