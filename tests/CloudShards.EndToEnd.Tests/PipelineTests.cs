using Azure;
using CloudShards.Formats;
using CloudShards.Sharding;
using CloudShards.Testing;

namespace CloudShards.EndToEnd.Tests;

/// <summary>From an upload's event to a published checkpoint, or to a status that says why not.</summary>
public sealed class PipelineTests(AzuriteFixture azurite)
{
    /// <summary>Files that a pipeline refuses, and why.</summary>
    public static TheoryData<string, CheckpointError> Refused => new()
    {
        { "evil_os_system.pt", CheckpointError.Forbidden },
        { "html.bin", CheckpointError.NotACheckpoint },
        { "truncated_0_bytes.pt", CheckpointError.NotACheckpoint },
        { "truncated_half.pt", CheckpointError.Truncated },
        { "name_collision.pt", CheckpointError.BadName },
        { "bad_overlap.safetensors", CheckpointError.BadTensor },
        { "bad_json.safetensors", CheckpointError.Malformed },
        { "geometry_oob_stride.pt", CheckpointError.BadTensor },
        { "geometry_expand_bomb.pt", CheckpointError.LimitExceeded },
    };

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData("plain.pt", "plain")]
    [InlineData("plain.safetensors", "plain")]
    [InlineData("views.pt", "views")]
    [InlineData("tied.pt", "tied")]
    [InlineData("dtypes.pt", "dtypes")]
    [InlineData("dtypes_big_endian.pt", "dtypes_big_endian")]
    [InlineData("scalars_empty.safetensors", "scalars_empty")]
    [InlineData("empty.safetensors", "empty")]
    [InlineData("checkpoint.pt", "checkpoint")]
    [InlineData("many_small.pt", "many_small")]
    [InlineData("odd_keys.safetensors", "odd_keys")]
    public async Task AnUploadBecomesACheckpointWithTheSameTensors(string name, string checkpoint)
    {
        var file = CorpusFile.Get(name);
        var storage = await StorageContainers.CreateAsync(azurite);
        var upload = await storage.UploadAsync(file);

        var status = await storage.NewPipeline().UploadedAsync(upload.Event, Token);

        Assert.Equal((JobState.Committed, checkpoint, null), (status.State, status.Name, status.Error));
        var distinct = file.Tensors.Select(tensor => tensor.Sha256).Distinct().Count();
        Assert.Equal(distinct, status.ShardsCreated);
        Assert.Equal(distinct, (await storage.StoredAsync("tensors/")).Count);
        Assert.Equal((status.Shards.Total, status.Bytes.Total), (status.Shards.Done, status.Bytes.Done));
        var manifest = await storage.ReadAllAsync(checkpoint);
        Assert.Equal(file.Tensors.Select(tensor => (tensor.Name, tensor.Digest)), manifest.Tensors.Select(tensor => (tensor.Name, tensor.Digest)));
        Assert.Equal(status.Reference, $"{checkpoint}@{Digest.Of(manifest.ToUtf8())}");
        var tag = await storage.TagAsync(checkpoint);
        Assert.Equal([new TagSource(name, upload.ETag.ToString().Trim('"'), upload.WrittenAt)], tag!.Source);
    }

    [Theory]
    [MemberData(nameof(Refused))]
    public async Task ARefusedFileFailsWithItsCauseAndLeavesNothing(string name, CheckpointError cause)
    {
        var storage = await StorageContainers.CreateAsync(azurite);
        var upload = await storage.UploadAsync(CorpusFile.Get(name));

        var status = await storage.NewPipeline().UploadedAsync(upload.Event, Token);

        Assert.Equal((JobState.Failed, $"{cause}"), (status.State, status.Error!.Cause));
        Assert.NotEmpty(status.Error.Message);
        Assert.Empty(await storage.StoredAsync());
        Assert.Equal(status, await storage.NewPipeline().TryGetStatusAsync(name, upload.ETag, Token));
    }

    [Theory]
    [InlineData("no name!.safetensors")]
    [InlineData("a//b.safetensors")]
    [InlineData("team/tags/b.safetensors")]
    [InlineData("モデル.safetensors")]
    [InlineData("100%25.safetensors")]
    public async Task APathThatGivesNoNameFailsBeforeAByteIsRead(string path)
    {
        var storage = await StorageContainers.CreateAsync(azurite);
        var upload = await storage.UploadAsync(path, await Checkpoints.SmallAsync());

        var status = await storage.NewPipeline().UploadedAsync(upload.Event, Token);

        Assert.Equal((JobState.Failed, nameof(CheckpointError.BadName)), (status.State, status.Error!.Cause));
        Assert.Equal(path, status.Path);
        Assert.Empty(await storage.StoredAsync());
    }

    [Fact]
    public async Task ALargeTensorIsWrittenInBlocksAndReadInRanges()
    {
        var storage = await StorageContainers.CreateAsync(azurite);
        var content = await Checkpoints.TorchZipAsync(
            1, new("large", TensorDType.F32, [(17 << 20) / 4]), new("middle", TensorDType.U8, [5 << 20]), new("small", TensorDType.U8, [3]));
        var upload = await storage.UploadAsync("model.pt", content);

        var status = await storage.NewPipeline().UploadedAsync(upload.Event, Token);

        Assert.Equal((JobState.Committed, 3), (status.State, status.ShardsCreated));
        await storage.ReadAllAsync("model");
    }

    [Fact]
    public async Task ACheckpointOfManyBatchesIsTheSameAsOfOne()
    {
        var storage = await StorageContainers.CreateAsync(azurite);
        var file = CorpusFile.Get("plain.pt");
        var options = new ShardingOptions { MaxPackedBytes = 0 };
        var one = await storage.NewPipeline(options).UploadedAsync((await storage.UploadAsync(file)).Event, Token);

        var many = await storage.NewPipeline(options with { MaxBatchShards = 7 }).UploadedAsync((await storage.UploadAsync(file)).Event, Token);

        Assert.Equal((one.Reference, 0), (many.Reference, many.ShardsCreated));
        Assert.Equal(one.Shards, many.Shards);
    }

    [Fact]
    public async Task ARepeatedEventWritesNothing()
    {
        var requests = new RequestRecorder();
        var storage = await StorageContainers.CreateAsync(azurite, requests);
        var upload = await storage.UploadAsync("model.safetensors", await Checkpoints.SmallAsync());
        var first = await storage.NewPipeline().UploadedAsync(upload.Event, Token);
        var stored = await storage.StoredAsync();
        requests.Clear();

        var again = await storage.NewPipeline().UploadedAsync(upload.Event, Token);

        Assert.Equal(first, again);
        Assert.Equal(stored, await storage.StoredAsync());
        var request = Assert.Single(requests.Requests);
        Assert.Equal(("GET", $"jobs/{first.Job}/status.json"), (request.Method, request.Blob));
    }

    [Fact]
    public async Task TheSameFileUploadedAgainWritesNothingButTheTag()
    {
        var storage = await StorageContainers.CreateAsync(azurite);
        var content = await Checkpoints.SmallAsync();
        var first = await storage.NewPipeline().UploadedAsync((await storage.UploadAsync("model.safetensors", content)).Event, Token);
        var stored = await storage.StoredAsync();

        var second = await storage.NewPipeline().UploadedAsync((await storage.UploadAsync("model.safetensors", content)).Event, Token);

        Assert.NotEqual(first.Job, second.Job);
        Assert.Equal((first.Reference, 0), (second.Reference, second.ShardsCreated));
        var changed = (await storage.StoredAsync()).Except(stored).Select(blob => blob.Key);
        Assert.Equal([StoreLayout.Tag("model", "latest")], changed);
    }

    [Fact]
    public async Task TwoVersionsStoreWhatTheyHaveInCommonOnce()
    {
        var storage = await StorageContainers.CreateAsync(azurite);
        SyntheticTensor[] shared = [new("backbone.0", TensorDType.F32, [64, 64]), new("backbone.1", TensorDType.F32, [64, 64])];
        var first = await Checkpoints.SafetensorsAsync(1, [.. shared, new("head", TensorDType.F32, [64])]);
        var second = await Checkpoints.SafetensorsAsync(1, [.. shared, new("head", TensorDType.F32, [32])]);
        await storage.NewPipeline().UploadedAsync((await storage.UploadAsync("model.safetensors", first)).Event, Token);
        var before = (await storage.StoredAsync("tensors/")).Count;

        var status = await storage.NewPipeline().UploadedAsync((await storage.UploadAsync("model.safetensors", second)).Event, Token);

        Assert.Equal((3, 4), (before, (await storage.StoredAsync("tensors/")).Count));
        Assert.Equal((3, 1), (status.Shards.Done, status.ShardsCreated));
        Assert.Equal(2, (await storage.StoredAsync("checkpoints/model/manifests/")).Count);
    }

    [Fact]
    public async Task EveryReadOfTheSourceAfterTheEventIsPinnedToItsVersion()
    {
        var requests = new RequestRecorder();
        var storage = await StorageContainers.CreateAsync(azurite, requests);
        var upload = await storage.UploadAsync("model.safetensors", await Checkpoints.SmallAsync());

        await storage.NewPipeline().UploadedAsync(upload.Event, Token);

        var reads = requests.Requests
            .Where(request => request.Path.Contains(storage.Uploads.Name, StringComparison.Ordinal) && request.Blob.Length > 0)
            .ToArray();
        Assert.True(reads.Length >= 4);
        Assert.All(reads, read => Assert.Equal($"\"{upload.ETag.ToString().Trim('"')}\"", read.IfMatch));
    }

    [Fact]
    public async Task AnEventOfAnotherContainerIsRefusedAndBeginsNoJob()
    {
        var storage = await StorageContainers.CreateAsync(azurite);
        var elsewhere = UploadEvent.Create(new("https://account/else/model.pt"), "else", "model.pt", new("0x1"), DateTimeOffset.UnixEpoch);

        var refusal = await Assert.ThrowsAsync<FormatException>(() => storage.NewPipeline().UploadedAsync(elsewhere, Token));
        var status = await storage.NewPipeline().FailedAsync(elsewhere, Token);

        Assert.Contains("the container `else`", refusal.Message, StringComparison.Ordinal);
        Assert.Null(status);
        Assert.Null(await storage.NewPipeline().TryGetStatusAsync("model.pt", new("0x1"), Token));
    }

    [Fact]
    public async Task AMessageThatIsNoEventBeginsNoJob()
    {
        var storage = await StorageContainers.CreateAsync(azurite);

        await Assert.ThrowsAsync<FormatException>(() => storage.NewPipeline().UploadedAsync(new("hello"), Token));

        Assert.Null(await storage.NewPipeline().FailedAsync(new("hello"), Token));
    }

    [Fact]
    public async Task WhoGivesUpSaysWhatTheLastAttemptFailedOf()
    {
        var storage = await StorageContainers.CreateAsync(azurite);
        var upload = await storage.UploadAsync("model.safetensors", await Checkpoints.SmallAsync());
        await storage.Plain.Shards.DeleteAsync(cancellationToken: Token);
        await Assert.ThrowsAsync<RequestFailedException>(() => storage.NewPipeline().UploadedAsync(upload.Event, Token));
        var between = await storage.NewPipeline().TryGetStatusAsync(upload.Path, upload.ETag, Token);

        var status = await storage.NewPipeline().FailedAsync(upload.Event, Token);

        Assert.Equal((JobState.Sharding, nameof(RequestFailedException)), (between!.State, between.Error!.Cause));
        Assert.Equal((JobState.Failed, nameof(RequestFailedException)), (status!.State, status.Error!.Cause));
        Assert.Contains("ContainerNotFound", status.Error.Message, StringComparison.Ordinal);
        Assert.Contains("The event was tried too often", status.Error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task WhoGivesUpWithoutAWordFromTheWorkersSuspectsMemory()
    {
        var storage = await StorageContainers.CreateAsync(azurite);
        var upload = await storage.UploadAsync("model.safetensors", await Checkpoints.SmallAsync());

        var status = await storage.NewPipeline().FailedAsync(upload.Event, Token);

        Assert.Equal((JobState.Failed, "GaveUp"), (status!.State, status.Error!.Cause));
        Assert.Contains("memory", status.Error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task GivingUpChangesNothingAboutAJobThatIsDone()
    {
        var storage = await StorageContainers.CreateAsync(azurite);
        var upload = await storage.UploadAsync("model.safetensors", await Checkpoints.SmallAsync());
        var committed = await storage.NewPipeline().UploadedAsync(upload.Event, Token);

        Assert.Equal(committed, await storage.NewPipeline().FailedAsync(upload.Event, Token));
    }

    [Fact]
    public async Task ASecondAttemptSucceedsWhereTheFirstFailed()
    {
        var storage = await StorageContainers.CreateAsync(azurite);
        var upload = await storage.UploadAsync("model.safetensors", await Checkpoints.SmallAsync());
        await storage.Plain.Shards.DeleteAsync(cancellationToken: Token);
        await Assert.ThrowsAsync<RequestFailedException>(() => storage.NewPipeline().UploadedAsync(upload.Event, Token));
        await storage.Plain.Shards.CreateAsync(cancellationToken: Token);

        var status = await storage.NewPipeline().UploadedAsync(upload.Event, Token);

        Assert.Equal((JobState.Committed, null), (status.State, status.Error));
        await storage.ReadAllAsync("model");
    }
}
