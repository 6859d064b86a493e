using System.Collections.Immutable;
using System.Text.Json;
using CloudShards.Formats;
using CloudShards.Sharding;
using CloudShards.Testing;

namespace CloudShards.EndToEnd.Tests;

/// <summary>A file to upload.</summary>
internal sealed record SetFile(string Path, BinaryData Content);

/// <summary>A Hugging Face set to upload.</summary>
/// <param name="Name">The checkpoint that it becomes, which is its folder.</param>
/// <param name="Index">The index.</param>
/// <param name="Parts">The parts that it names, in their order.</param>
/// <param name="Tensors">What the parts hold, part after part.</param>
internal sealed record CheckpointSet(string Name, SetFile Index, ImmutableArray<SetFile> Parts, ImmutableArray<CorpusTensor> Tensors)
{
    /// <summary>The sets of the corpus.</summary>
    public static TheoryData<string> Folders => ["hf_st", "hf_bin"];

    public ImmutableArray<SetFile> Files => [Index, .. Parts];

    /// <summary>Every order of the files.</summary>
    public IEnumerable<ImmutableArray<SetFile>> Orders => OrdersOf(Files);

    /// <summary>The set in a folder of the corpus.</summary>
    public static CheckpointSet OfCorpus(string folder)
    {
        var files = CorpusFile.All.Where(file => file.Name.StartsWith($"{folder}/", StringComparison.Ordinal)).ToLookup(file => file.Format == "hf-index");
        return new(folder, Load(files[true].Single()), [.. files[false].Select(Load)], [.. files[false].SelectMany(file => file.Tensors)]);
    }

    /// <summary>Uploads files one after the other.</summary>
    public static async Task<ImmutableArray<Upload>> UploadAsync(StorageContainers storage, IEnumerable<SetFile> files)
    {
        var uploads = ImmutableArray.CreateBuilder<Upload>();
        foreach (var file in files)
        {
            uploads.Add(await storage.UploadAsync(file.Path, file.Content));
        }

        return uploads.DrainToImmutable();
    }

    /// <summary>Asserts that the status of each upload says what the set's says.</summary>
    public static async Task AssertAllSayAsync(JobStatus set, IEnumerable<Upload> uploads, StorageContainers storage)
    {
        foreach (var (path, etag, _, _) in uploads)
        {
            var status = await storage.NewPipeline().TryGetStatusAsync(path, etag, TestContext.Current.CancellationToken);
            Assert.NotNull(status);
            Assert.Equal((path, etag.ToString().Trim('"')), (status.Path, status.ETag));
            Assert.Equal(WordOf(set), WordOf(status));
        }
    }

    /// <summary>Asserts that an upload waits for exactly these paths.</summary>
    public static async Task AssertWaitsAsync(Upload upload, IEnumerable<string> paths, StorageContainers storage)
    {
        var status = await storage.NewPipeline().TryGetStatusAsync(upload.Path, upload.ETag, TestContext.Current.CancellationToken);
        Assert.NotNull(status);
        Assert.Equal((JobState.Waiting, null, null), (status.State, status.Error, status.Reference));
        Assert.Equal(paths, status.WaitsFor);
    }

    /// <summary>A file with a part's tensors in the same format, but with other bytes in them.</summary>
    public static async Task<SetFile> RetrainedAsync(SetFile part, int seed)
    {
        var file = CorpusFile.Get(part.Path);
        SyntheticTensor[] tensors = [.. file.Tensors.Select(Retrained)];
        return part with
        {
            Content = file.Format == "safetensors" ? await Checkpoints.SafetensorsAsync(seed, tensors) : await Checkpoints.TorchZipAsync(seed, tensors),
        };
    }

    /// <summary>The set with another index, as the function changes the present one's entries.</summary>
    public CheckpointSet WithIndex(Func<Dictionary<string, string>, IEnumerable<KeyValuePair<string, string>>> change)
    {
        var files = JsonDocument.Parse(Index.Content).RootElement.GetProperty("weight_map").Deserialize<Dictionary<string, string>>()!;
        return this with { Index = Index with { Content = BinaryData.FromObjectAsJson(new { weight_map = new Dictionary<string, string>(change(files)) }) } };
    }

    // What a status says of the checkpoint, and not of the file and the job.
    private static JobStatus WordOf(JobStatus status) => status with { Job = "", Path = "", ETag = "", StartedAt = default, UpdatedAt = default };

    private static SetFile Load(CorpusFile file) => new(file.Name, new(file.ReadAllBytes()));

    private static SyntheticTensor Retrained(CorpusTensor tensor) => TensorDTypeExtensions.TryParse(tensor.DType, out var dtype)
        ? new(tensor.Name, dtype, TensorShape.Create([.. tensor.Shape]))
        : throw new ArgumentException($"`{tensor.DType}` is no dtype.", nameof(tensor));

    private static IEnumerable<ImmutableArray<SetFile>> OrdersOf(ImmutableArray<SetFile> files) => files.IsEmpty
        ? [[]]
        : files.SelectMany(first => OrdersOf(files.Remove(first)).Select(rest => rest.Insert(0, first)));
}
