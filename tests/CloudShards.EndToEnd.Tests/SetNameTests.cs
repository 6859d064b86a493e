using CloudShards.Formats;
using CloudShards.Sharding;
using CloudShards.Testing;

namespace CloudShards.EndToEnd.Tests;

/// <summary>Sets whose files are not named by Hugging Face's pattern, and statuses of files that came early.</summary>
public sealed class SetNameTests(AzuriteFixture azurite)
{
    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData("m/model.safetensors.index.json", "first.safetensors", "second.safetensors")]
    [InlineData("m/model.safetensors.index.fp16.json", "model.fp16-00001-of-00002.safetensors", "model.fp16-00002-of-00002.safetensors")]
    public async Task ASetIsNamedLikeItsIndexWhicheverEventCompletesIt(string index, params string[] parts)
    {
        var json = BinaryData.FromObjectAsJson(new { weight_map = new Dictionary<string, string> { ["a"] = parts[0], ["b"] = parts[1] } });
        SetFile[] files =
        [
            new(index, json),
            new($"m/{parts[0]}", await Checkpoints.SafetensorsAsync(1, new SyntheticTensor("a", TensorDType.U8, [3]))),
            new($"m/{parts[1]}", await Checkpoints.SafetensorsAsync(1, new SyntheticTensor("b", TensorDType.U8, [3]))),
        ];
        var references = new HashSet<string?>();
        for (var completing = 0; completing < files.Length; completing++)
        {
            var storage = await StorageContainers.CreateAsync(azurite);
            var uploads = await CheckpointSet.UploadAsync(storage, files);

            var status = await storage.NewPipeline().UploadedAsync(uploads[completing].Event, Token);

            Assert.Equal(JobState.Committed, status.State);
            references.Add(status.Reference);
        }

        Assert.StartsWith("m@", Assert.Single(references), StringComparison.Ordinal);
    }

    [Fact]
    public async Task AFileThatCameEarlyWaitsForWhatTheSetLacksOnceTheIndexIsThere()
    {
        var set = CheckpointSet.OfCorpus("hf_st");
        var storage = await StorageContainers.CreateAsync(azurite);
        var uploads = await CheckpointSet.UploadAsync(storage, [set.Parts[0]]);
        await storage.NewPipeline().UploadedAsync(uploads[0].Event, Token);
        var index = await storage.UploadAsync(set.Index.Path, set.Index.Content);

        await storage.NewPipeline().UploadedAsync(index.Event, Token);

        await CheckpointSet.AssertWaitsAsync(index, [set.Parts[1].Path], storage);
        await CheckpointSet.AssertWaitsAsync(uploads[0], [set.Parts[1].Path], storage);
    }

    [Fact]
    public async Task OfManyFilesThatASetLacksSomeAreNamedAndAllAreCounted()
    {
        const int Files = 15_000;
        var storage = await StorageContainers.CreateAsync(azurite);
        var name = new string('x', 120);
        var json = BinaryData.FromObjectAsJson(new { weight_map = Enumerable.Range(0, Files).ToDictionary(i => $"t{i}", i => $"{name}{i:d5}.safetensors") });
        var index = await storage.UploadAsync("m/model.safetensors.index.json", json);

        await storage.NewPipeline().UploadedAsync(index.Event, Token);

        var status = await storage.NewPipeline().TryGetStatusAsync(index.Path, index.ETag, Token);
        Assert.Equal((JobState.Waiting, Files, 100), (status!.State, status.WaitsForCount, status.WaitsFor!.Value.Length));
        Assert.Equal($"m/{name}00000.safetensors", status.WaitsFor.Value[0]);
    }
}
