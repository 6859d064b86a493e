using CloudShards.Formats;
using CloudShards.Sharding;
using CloudShards.Testing;

namespace CloudShards.EndToEnd.Tests;

/// <summary>Checkpoints in several files: in whatever order they come, they are one checkpoint once all are there.</summary>
public sealed class SetTests(AzuriteFixture azurite)
{
    public static TheoryData<string> Folders => CheckpointSet.Folders;

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Theory]
    [MemberData(nameof(Folders))]
    public async Task EveryOrderOfUploadsGivesTheSameManifest(string folder)
    {
        var set = CheckpointSet.OfCorpus(folder);
        var references = new HashSet<string?>();
        foreach (var order in set.Orders)
        {
            var storage = await StorageContainers.CreateAsync(azurite);
            var uploads = new List<Upload>();
            var states = new List<JobStatus>();
            foreach (var file in order)
            {
                uploads.Add(await storage.UploadAsync(file.Path, file.Content));
                states.Add(await storage.NewPipeline().UploadedAsync(uploads[^1].Event, Token));
            }

            Assert.Equal([JobState.Waiting, JobState.Waiting, JobState.Committed], states.Select(status => status.State));
            await CheckpointSet.AssertAllSayAsync(states[^1], uploads, storage);
            await using var checkpoint = await ShardedCheckpoint.OpenAsync(storage.Shards, set.Name, cancellationToken: Token);
            CorpusAssert.Lists(set.Tensors, checkpoint.Manifest);
            references.Add(states[^1].Reference);
        }

        Assert.Single(references);
    }

    [Theory]
    [MemberData(nameof(Folders))]
    public async Task AnIncompleteSetWaitsForExactlyWhatItLacks(string folder)
    {
        var set = CheckpointSet.OfCorpus(folder);
        foreach (var order in set.Orders)
        {
            var storage = await StorageContainers.CreateAsync(azurite);
            foreach (var (position, file) in order.Index().SkipLast(1))
            {
                var upload = await storage.UploadAsync(file.Path, file.Content);

                var status = await storage.NewPipeline().UploadedAsync(upload.Event, Token);

                // Without the index nobody knows of other parts.
                var missing = order[(position + 1)..].Contains(set.Index) ? [set.Index] : order[(position + 1)..];
                Assert.Equal((JobState.Waiting, set.Name), (status.State, status.Name));
                await CheckpointSet.AssertWaitsAsync(upload, missing.Select(other => other.Path).Order(StringComparer.Ordinal), storage);
            }

            Assert.Empty(await storage.StoredAsync());
        }
    }

    [Theory]
    [MemberData(nameof(Folders))]
    public async Task AnyEventOfACompleteSetEndsTheJobsOfAllItsFiles(string folder)
    {
        var set = CheckpointSet.OfCorpus(folder);
        for (var first = 0; first < set.Files.Length; first++)
        {
            var storage = await StorageContainers.CreateAsync(azurite);
            var uploads = await CheckpointSet.UploadAsync(storage, set.Files);

            var status = await storage.NewPipeline().UploadedAsync(uploads[first].Event, Token);

            Assert.Equal((JobState.Committed, null, null), (status.State, status.Error, status.WaitsFor));
            Assert.Equal((status.Shards.Total, status.Bytes.Total), (status.Shards.Done, status.Bytes.Done));
            Assert.Equal(set.Tensors.Select(tensor => tensor.Sha256).Distinct().Count(), status.ShardsCreated);
            await CheckpointSet.AssertAllSayAsync(status, uploads, storage);
            Assert.Equal(
                uploads.Select(upload => (upload.Path, upload.ETag.ToString().Trim('"'), upload.WrittenAt)).Order(),
                (await storage.TagAsync(set.Name))!.Source.Select(source => (source.Path, source.ETag, source.UploadedAt)).Order());
        }
    }

    [Theory]
    [MemberData(nameof(Folders))]
    public async Task ManyWorkersWithAllEventsAtOnceMakeOneCheckpoint(string folder)
    {
        var set = CheckpointSet.OfCorpus(folder);
        var storage = await StorageContainers.CreateAsync(azurite);
        var uploads = await CheckpointSet.UploadAsync(storage, set.Files);

        var statuses = await Task.WhenAll(
            Enumerable.Repeat(uploads, 3).SelectMany(once => once).Select(upload => storage.NewPipeline().UploadedAsync(upload.Event, Token)));

        Assert.All(statuses, status => Assert.Equal((JobState.Committed, statuses[0].Reference), (status.State, status.Reference)));
        await AssertOneCheckpointAsync(set, storage, statuses[0].Reference);
        await CheckpointSet.AssertAllSayAsync(statuses[0], uploads, storage);
    }

    [Theory]
    [MemberData(nameof(Folders))]
    public async Task UploadsAndTheirEventsAllAtOnceMakeOneCheckpoint(string folder)
    {
        var set = CheckpointSet.OfCorpus(folder);
        for (var round = 0; round < 3; round++)
        {
            var storage = await StorageContainers.CreateAsync(azurite);

            var ends = await Task.WhenAll(set.Files.Select(async file =>
            {
                var upload = await storage.UploadAsync(file.Path, file.Content);
                return (Upload: upload, Status: await storage.NewPipeline().UploadedAsync(upload.Event, Token));
            }));

            var last = ends.Select(end => end.Status).First(status => status.State == JobState.Committed);
            await AssertOneCheckpointAsync(set, storage, last.Reference);
            await CheckpointSet.AssertAllSayAsync(last, ends.Select(end => end.Upload), storage);
        }
    }

    [Theory]
    [InlineData("hf_st", false)]
    [InlineData("hf_st", true)]
    [InlineData("hf_bin", false)]
    [InlineData("hf_bin", true)]
    public async Task RepeatedEventsWriteNothing(string folder, bool onceTheirStatusesWereCleared)
    {
        var requests = new RequestRecorder();
        var storage = await StorageContainers.CreateAsync(azurite, requests);
        var uploads = await CheckpointSet.UploadAsync(storage, CheckpointSet.OfCorpus(folder).Files);
        var first = await storage.NewPipeline().UploadedAsync(uploads[0].Event, Token);
        var stored = await storage.StoredAsync();
        if (onceTheirStatusesWereCleared)
        {
            await foreach (var blob in storage.Plain.Work.GetBlobsAsync(cancellationToken: Token))
            {
                await storage.Plain.Work.DeleteBlobAsync(blob.Name, cancellationToken: Token);
            }
        }

        requests.Clear();
        foreach (var upload in uploads)
        {
            var again = await storage.NewPipeline().UploadedAsync(upload.Event, Token);
            Assert.Equal((JobState.Committed, first.Reference), (again.State, again.Reference));
        }

        Assert.Equal(stored, await storage.StoredAsync());
        var writes = requests.Requests
            .Where(request => request.Path.Contains(storage.Shards.Name, StringComparison.Ordinal) && request.Method is not ("GET" or "HEAD"))
            .ToArray();
        Assert.Equal(onceTheirStatusesWereCleared, writes.Length > 0);
        Assert.All(writes, write => Assert.Equal(("PUT", "*", 409), (write.Method, write.IfNoneMatch, write.Status)));
    }

    [Theory]
    [MemberData(nameof(Folders))]
    public async Task AFileThatIsReplacedMakesANewManifestAndMovesLatest(string folder)
    {
        var set = CheckpointSet.OfCorpus(folder);
        var storage = await StorageContainers.CreateAsync(azurite);
        var uploads = await CheckpointSet.UploadAsync(storage, set.Files);
        var before = await storage.NewPipeline().UploadedAsync(uploads[0].Event, Token);
        var retrained = await CheckpointSet.RetrainedAsync(set.Parts[1], seed: 1);
        var newer = await storage.UploadAsync(retrained.Path, retrained.Content);

        var status = await storage.NewPipeline().UploadedAsync(newer.Event, Token);

        Assert.Equal((JobState.Committed, set.Name), (status.State, status.Name));
        var (old, latest) = (await storage.ReadAllAsync(before.Reference!), await storage.ReadAllAsync(set.Name));
        Assert.Equal(status.Reference, $"{set.Name}@{Digest.Of(latest.ToUtf8())}");
        CorpusAssert.Lists(set.Tensors, old);
        Assert.Equal(old.Tensors.Select(tensor => (tensor.Name, tensor.DType)), latest.Tensors.Select(tensor => (tensor.Name, tensor.DType)));
        var fresh = latest.Tensors.ExceptBy(old.Tensors.Select(tensor => tensor.Digest), tensor => tensor.Digest).ToArray();
        Assert.Equal(CorpusFile.Get(retrained.Path).Tensors.Select(tensor => tensor.Name), fresh.Select(tensor => tensor.Name));
        Assert.Equal(fresh.Length, status.ShardsCreated);
        await CheckpointSet.AssertAllSayAsync(status, [uploads[0], uploads[1], newer], storage);
        await CheckpointSet.AssertAllSayAsync(before, [uploads[2]], storage);
    }

    [Fact]
    public async Task ASetThatGrowsIsPublishedAnewOnceItIsCompleteAgain()
    {
        const string Third = "hf_st/model-00003-of-00003.safetensors";
        var set = CheckpointSet.OfCorpus("hf_st");
        var storage = await StorageContainers.CreateAsync(azurite);
        var uploads = await CheckpointSet.UploadAsync(storage, set.Files);
        var before = await storage.NewPipeline().UploadedAsync(uploads[0].Event, Token);
        var grown = set.WithIndex(map => map.Append(new("more", Path.GetFileName(Third)))).Index;
        var index = await storage.UploadAsync(grown.Path, grown.Content);

        await storage.NewPipeline().UploadedAsync(index.Event, Token);

        await CheckpointSet.AssertWaitsAsync(index, [Third], storage);
        Assert.Equal(before.Reference, $"hf_st@{(await storage.TagAsync(set.Name))!.Digest}");
        var third = await storage.UploadAsync(Third, await Checkpoints.SafetensorsAsync(1, new SyntheticTensor("more", TensorDType.U8, [3])));
        var status = await storage.NewPipeline().UploadedAsync(third.Event, Token);
        Assert.Equal((JobState.Committed, 1), (status.State, status.ShardsCreated));
        Assert.Equal([.. set.Tensors.Select(tensor => tensor.Name), "more"], (await storage.ReadAllAsync(set.Name)).Tensors.Select(tensor => tensor.Name));
        await CheckpointSet.AssertAllSayAsync(status, [index, uploads[1], uploads[2], third], storage);
        await CheckpointSet.AssertAllSayAsync(before, [uploads[0]], storage);
    }

    [Fact]
    public async Task TwoSetsInOneFolderAreTwoManifestsOfOneCheckpoint()
    {
        CheckpointSet[] sets = [CheckpointSet.OfCorpus("hf_bin"), CheckpointSet.OfCorpus("hf_st")];
        var storage = await StorageContainers.CreateAsync(azurite);
        var uploads = await CheckpointSet.UploadAsync(
            storage, sets.SelectMany(set => set.Files).Select(file => file with { Path = $"both/{Path.GetFileName(file.Path)}" }));

        var bin = await storage.NewPipeline().UploadedAsync(uploads[0].Event, Token);
        var safetensors = await storage.NewPipeline().UploadedAsync(uploads[^1].Event, Token);

        await CheckpointSet.AssertAllSayAsync(bin, uploads[..3], storage);
        await CheckpointSet.AssertAllSayAsync(safetensors, uploads[3..], storage);
        CorpusAssert.Lists(sets[0].Tensors, await storage.ReadAllAsync(bin.Reference!));
        CorpusAssert.Lists(sets[1].Tensors, await storage.ReadAllAsync("both"));
        Assert.Equal(2, (await storage.StoredAsync("checkpoints/both/manifests/")).Count);
        Assert.Equal((bin.Shards.Total, 0), (safetensors.Shards.Done, safetensors.ShardsCreated));
    }

    private static async Task AssertOneCheckpointAsync(CheckpointSet set, StorageContainers storage, string? reference)
    {
        CorpusAssert.Lists(set.Tensors, await storage.ReadAllAsync(set.Name));
        Assert.Equal(reference, $"{set.Name}@{(await storage.TagAsync(set.Name))!.Digest}");
        Assert.Equal(2, (await storage.StoredAsync("checkpoints/")).Count);
        Assert.Equal(set.Tensors.Select(tensor => tensor.Sha256).Distinct().Count(), (await storage.StoredAsync("tensors/")).Count);
    }
}
