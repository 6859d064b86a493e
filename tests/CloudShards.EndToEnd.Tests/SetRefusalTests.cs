using CloudShards.Formats;
using CloudShards.Sharding;
using CloudShards.Testing;

namespace CloudShards.EndToEnd.Tests;

/// <summary>Sets with a file that is wrong: nothing of them is published, and each status says why.</summary>
public sealed class SetRefusalTests(AzuriteFixture azurite)
{
    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData("hf_st", "bad_overlap.safetensors", CheckpointError.BadTensor)]
    [InlineData("hf_st", "truncated.safetensors", CheckpointError.Truncated)]
    [InlineData("hf_st", "evil_os_system.pt", CheckpointError.Forbidden)]
    [InlineData("hf_bin", "evil_os_system.pt", CheckpointError.Forbidden)]
    [InlineData("hf_bin", "truncated_half.pt", CheckpointError.Truncated)]
    [InlineData("hf_bin", "text.pt", CheckpointError.NotACheckpoint)]
    public async Task ARefusedPartFailsTheSetUntilItIsReplaced(string folder, string bad, CheckpointError cause)
    {
        var set = CheckpointSet.OfCorpus(folder);
        var storage = await StorageContainers.CreateAsync(azurite);
        var part = set.Parts[1];
        var others = await CheckpointSet.UploadAsync(storage, [set.Index, set.Parts[0]]);
        var refused = await storage.UploadAsync(part.Path, new(CorpusFile.Get(bad).ReadAllBytes()));

        var failed = await storage.NewPipeline().UploadedAsync(others[0].Event, Token);

        Assert.Equal((JobState.Failed, $"{cause}", null), (failed.State, failed.Error?.Cause, failed.Reference));
        Assert.Contains($"`{part.Path}`", failed.Error!.Message, StringComparison.Ordinal);
        await CheckpointSet.AssertAllSayAsync(failed, [.. others, refused], storage);
        Assert.Empty(await storage.StoredAsync());

        var replaced = await storage.UploadAsync(part.Path, part.Content);
        var status = await storage.NewPipeline().UploadedAsync(replaced.Event, Token);

        Assert.Equal((JobState.Committed, null), (status.State, status.Error));
        await CheckpointSet.AssertAllSayAsync(status, [.. others, replaced], storage);
        await CheckpointSet.AssertAllSayAsync(failed, [refused], storage);
        CorpusAssert.Lists(set.Tensors, await storage.ReadAllAsync(set.Name));
    }

    [Theory]
    [InlineData("traversal")]
    [InlineData("absolute")]
    [InlineData("url")]
    [InlineData("nonstring")]
    public async Task AnIndexThatPointsElsewhereIsRefusedAndItsPartsWaitForABetterOne(string name)
    {
        var good = CheckpointSet.OfCorpus("hf_bin");
        var bad = good.Index with { Content = new(CorpusFile.Get($"hf_bad/{name}.bin.index.json").ReadAllBytes()) };
        var storage = await StorageContainers.CreateAsync(azurite);
        var uploads = await CheckpointSet.UploadAsync(storage, [bad, .. good.Parts]);
        foreach (var upload in uploads)
        {
            await storage.NewPipeline().UploadedAsync(upload.Event, Token);
        }

        var refused = await storage.NewPipeline().TryGetStatusAsync(bad.Path, uploads[0].ETag, Token);
        Assert.Equal((JobState.Failed, nameof(CheckpointError.Malformed)), (refused!.State, refused.Error?.Cause));
        foreach (var part in uploads[1..])
        {
            await CheckpointSet.AssertWaitsAsync(part, [bad.Path], storage);
        }

        Assert.Empty(await storage.StoredAsync());

        var replaced = await storage.UploadAsync(good.Index.Path, good.Index.Content);
        var status = await storage.NewPipeline().UploadedAsync(replaced.Event, Token);

        Assert.Equal(JobState.Committed, status.State);
        await CheckpointSet.AssertAllSayAsync(status, [replaced, .. uploads[1..]], storage);
        await CheckpointSet.AssertAllSayAsync(refused, [uploads[0]], storage);
    }

    [Fact]
    public async Task AnIndexThatNamesAFileThatNeverComesWaitsForItAndPublishesNothing()
    {
        const string Absent = "hf_bin/pytorch_model-00009-of-00002.bin";
        var set = CheckpointSet.OfCorpus("hf_bin");
        var storage = await StorageContainers.CreateAsync(azurite);
        var index = set.Index with { Content = new(CorpusFile.Get("hf_bad/missing.bin.index.json").ReadAllBytes()) };
        var uploads = await CheckpointSet.UploadAsync(storage, [index, .. set.Parts]);
        foreach (var upload in uploads)
        {
            await storage.NewPipeline().UploadedAsync(upload.Event, Token);
        }

        foreach (var upload in uploads)
        {
            await CheckpointSet.AssertWaitsAsync(upload, [Absent], storage);
        }

        Assert.Empty(await storage.StoredAsync());
    }

    /// <summary>What an index may have wrong about the parts beside it, and the tensor that it is wrong about.</summary>
    public static TheoryData<string, string, string> Wrong => new()
    {
        { "hf_st", "a tensor that no part has", "absent" },
        { "hf_bin", "a tensor that no part has", "absent" },
        { "hf_st", "a tensor in the other part", "emb.weight" },
        { "hf_bin", "a tensor in the other part", "emb.weight" },
        { "hf_st", "nothing of a tensor that a part has", "emb.weight" },
        { "hf_bin", "nothing of a tensor that a part has", "emb.weight" },
    };

    [Theory]
    [MemberData(nameof(Wrong))]
    public async Task AnIndexThatDisagreesWithItsPartsFailsTheSet(string folder, string says, string tensor)
    {
        var set = CheckpointSet.OfCorpus(folder);
        var first = Path.GetFileName(set.Parts[0].Path);
        var wrong = set.WithIndex(map => says switch
        {
            "a tensor that no part has" => map.Append(new(tensor, first)),
            "a tensor in the other part" => map.Where(entry => entry.Key != tensor).Append(new(tensor, first)),
            _ => map.Where(entry => entry.Key != tensor),
        });
        var storage = await StorageContainers.CreateAsync(azurite);
        var uploads = await CheckpointSet.UploadAsync(storage, wrong.Files);

        var status = await storage.NewPipeline().UploadedAsync(uploads[^1].Event, Token);

        Assert.Equal((JobState.Failed, nameof(CheckpointError.BadTensor), tensor), (status.State, status.Error?.Cause, status.Error?.Tensor));
        await CheckpointSet.AssertAllSayAsync(status, uploads, storage);
        Assert.Empty(await storage.StoredAsync());
    }

    [Theory]
    [InlineData("{}", CheckpointError.Malformed)]
    [InlineData("[]", CheckpointError.Malformed)]
    [InlineData("", CheckpointError.Malformed)]
    [InlineData("""{"weight_map": {}}""", CheckpointError.Malformed)]
    [InlineData("""{"weight_map": {"a": "model.safetensors.index.json"}}""", CheckpointError.NotACheckpoint)]
    public async Task AnIndexOfNothingFails(string json, CheckpointError cause)
    {
        var storage = await StorageContainers.CreateAsync(azurite);
        var upload = await storage.UploadAsync("model/model.safetensors.index.json", new(json));

        var status = await storage.NewPipeline().UploadedAsync(upload.Event, Token);

        Assert.Equal((JobState.Failed, $"{cause}"), (status.State, status.Error?.Cause));
        await CheckpointSet.AssertAllSayAsync(status, [upload], storage);
        Assert.Empty(await storage.StoredAsync());
    }

    [Theory]
    [InlineData("hf_st/model-00001-of-00002.safetensors", "m/model-00001-of-00002.safetensors", "m/model.safetensors.index.json")]
    [InlineData("hf_st/model-00001-of-00002.safetensors", "model-000001-of-000163.safetensors", "model.safetensors.index.json")]
    [InlineData("hf_bin/pytorch_model-00002-of-00002.bin", "a/b/pytorch_model-00002-of-00002.bin", "a/b/pytorch_model.bin.index.json")]
    [InlineData("evil_os_system.pt", "m/pytorch_model-00002-of-00002.bin", "m/pytorch_model.bin.index.json")]
    public async Task ANumberedPartWithoutItsIndexWaitsForItUnread(string file, string path, string index)
    {
        var requests = new RequestRecorder();
        var storage = await StorageContainers.CreateAsync(azurite, requests);
        var upload = await storage.UploadAsync(path, new(CorpusFile.Get(file).ReadAllBytes()));

        await storage.NewPipeline().UploadedAsync(upload.Event, Token);

        await CheckpointSet.AssertWaitsAsync(upload, [index], storage);
        Assert.DoesNotContain(requests.Requests, request => request.Blob == path && request.Method == "GET");
        Assert.DoesNotContain(requests.Requests, request => request.Path.Contains(storage.Shards.Name, StringComparison.Ordinal));
    }

    [Fact]
    public async Task AFileThatWasGivenUpEndsWithItsSetAllTheSame()
    {
        var set = CheckpointSet.OfCorpus("hf_st");
        var storage = await StorageContainers.CreateAsync(azurite);
        var part = await storage.UploadAsync(set.Parts[0].Path, set.Parts[0].Content);
        var givenUp = await storage.NewPipeline().FailedAsync(part.Event, Token);
        var uploads = await CheckpointSet.UploadAsync(storage, [set.Index, set.Parts[1]]);

        var status = await storage.NewPipeline().UploadedAsync(uploads[0].Event, Token);

        Assert.Equal((JobState.Failed, JobState.Committed), (givenUp!.State, status.State));
        await CheckpointSet.AssertAllSayAsync(status, [part, .. uploads], storage);
    }
}
