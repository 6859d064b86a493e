using CloudShards.Formats;
using CloudShards.Sharding;
using CloudShards.Testing;

namespace CloudShards.Chaos;

/// <summary>A file that is uploaded.</summary>
/// <param name="Path">Where to.</param>
/// <param name="Seed">Its version: a third of the tensors is the same in all versions, as a fine-tune leaves them.</param>
/// <param name="What">What is in it.</param>
internal sealed record ChaosUpload(string Path, int Seed, ChaosUpload.Kind What)
{
    /// <summary>The checkpoint that the set is.</summary>
    public const string SetName = "set";

    private const int Parts = 3;
    private const int PartTensors = 4;

    /// <summary>What a file holds.</summary>
    public enum Kind
    {
        /// <summary>Many small tensors.</summary>
        Many,

        /// <summary>Few tensors, one of which the service copies itself.</summary>
        Large,

        /// <summary>The tensors of one file of the set.</summary>
        Part,

        /// <summary>The set's index.</summary>
        Index,
    }

    /// <summary>The checkpoint that it is of.</summary>
    public string Name => What is Kind.Part or Kind.Index ? SetName : CheckpointName.FromUpload(Path);

    /// <summary>A version of the set, the index last.</summary>
    public static IEnumerable<ChaosUpload> SetOf(int seed) =>
        Enumerable.Range(1, Parts).Select(part => new ChaosUpload(PathOf(part), seed, Kind.Part)).Append(new($"{SetName}/model.safetensors.index.json", seed, Kind.Index));

    /// <summary>Its bytes.</summary>
    public async Task<BinaryData> ContentAsync(CancellationToken cancellationToken)
    {
        if (What == Kind.Index)
        {
            return BinaryData.FromObjectAsJson(new
            {
                weight_map = Enumerable.Range(1, Parts).SelectMany(part => TensorsOf(PathOf(part)).Select(tensor => KeyValuePair.Create(tensor.Name, FileOf(part)))).ToDictionary(),
            });
        }

        using var file = new MemoryStream();
        await new SyntheticCheckpoint([.. Tensors()]).WriteSafetensorsAsync(file, cancellationToken);
        return new(file.ToArray());
    }

    private IEnumerable<SyntheticTensor> Tensors() => What switch
    {
        Kind.Many => Enumerable.Range(0, 60).Select(i => new SyntheticTensor($"layer{i}.weight", TensorDType.F32, [i + 1, i % 3 == 0 ? 64 : 64 + Seed])),
        Kind.Large => [new("small", TensorDType.U8, [100]), new("large", TensorDType.U8, [ShardingOptions.CopiedBytes + Seed]), new("last", TensorDType.U8, [200 + Seed])],
        _ => TensorsOf(Path),
    };

    private IEnumerable<SyntheticTensor> TensorsOf(string path) => Enumerable.Range(0, PartTensors).Select(i =>
        new SyntheticTensor($"{System.IO.Path.GetFileNameWithoutExtension(path)}.{i}", TensorDType.F32, [i + 1, i % 3 == 0 ? 64 : 64 + Seed]));

    private static string FileOf(int part) => $"model-{part:d5}-of-{Parts:d5}.safetensors";

    private static string PathOf(int part) => $"{SetName}/{FileOf(part)}";
}
