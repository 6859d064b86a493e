using System.Text;
using CloudShards.Testing;

namespace CloudShards.Formats.Tests.Manifest;

/// <summary>The published schema, <c>manifest.schema.json</c>, against the reader: what the one admits or refuses, the other does too.</summary>
public sealed class ManifestSchemaTests
{
    [Fact]
    public async Task ManifestsConform()
    {
        Assert.Empty(await ManifestSchema.FaultsAsync(Encoding.UTF8.GetString(ManifestBytes.Full.ToUtf8())));
        Assert.Empty(await ManifestSchema.FaultsAsync(Encoding.UTF8.GetString(ManifestBytes.Empty.ToUtf8())));
    }

    [Fact]
    public async Task PacksOfTiedTensorsConform()
    {
        var tensors = Enumerable.Range(0, 100).Select(i => ManifestBytes.Tensor($"t{i}", TensorDType.I64, [], 8)).ToArray();
        ManifestPack[] packs =
        [
            .. tensors.Chunk(20).Select((tensors, i) => new ManifestPack(
                Digest.Of([(byte)i]), 80, [.. tensors.Select((tensor, place) => new PackedTensor(tensor.Name, place / 2 * 8))])),
        ];
        var manifest = ManifestBytes.Full with { Tensors = [.. tensors], Packs = [.. packs] };

        Assert.Empty(await ManifestSchema.FaultsAsync(Encoding.UTF8.GetString(manifest.ToUtf8())));
        Assert.Equal(manifest.ToUtf8(), ShardManifest.Parse(manifest.ToUtf8()).ToUtf8());
    }

    [Theory]
    [MemberData(nameof(BrokenManifests.Form), MemberType = typeof(BrokenManifests))]
    public async Task ABrokenFormDoesNot(string path, string? json) => Assert.NotEmpty(await ManifestSchema.FaultsAsync(ManifestBytes.With(path, json)));

    // A reader ignores them for the sake of later versions; a writer of this version has none to write.
    [Theory]
    [InlineData("extra")]
    [InlineData("source/0/extra")]
    [InlineData("tensors/0/extra")]
    [InlineData("packs/0/extra")]
    [InlineData("packs/0/tensors/0/extra")]
    public async Task AnUnknownPropertyDoesNot(string path) => Assert.NotEmpty(await ManifestSchema.FaultsAsync(ManifestBytes.With(path, "1")));

    [Fact]
    public async Task EveryDTypeIsInTheSchema()
    {
        foreach (var dtype in Enum.GetValues<TensorDType>())
        {
            Assert.Empty(await ManifestSchema.FaultsAsync(ManifestBytes.With("tensors/0/dtype", $"\"{dtype.Name()}\"")));
        }
    }

    [Fact]
    public async Task EveryPropertyIsDescribed()
    {
        var schema = await ManifestSchema.ReadAsync();
        var properties = schema.Definitions.Values.Append(schema).SelectMany(part => part.ActualProperties.Values).ToList();

        Assert.NotEmpty(properties);
        Assert.All(properties, property => Assert.NotEmpty(property.Description ?? property.Reference?.Description ?? ""));
    }
}
