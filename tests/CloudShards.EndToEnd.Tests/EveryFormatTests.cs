using CloudShards.Formats;
using CloudShards.Sharding;
using CloudShards.Testing;

namespace CloudShards.EndToEnd.Tests;

/// <summary>Every file of the corpus, from its upload to tensors that the SDK reads, or to the cause of its refusal.</summary>
public sealed class EveryFormatTests(AzuriteFixture azurite)
{
    // No extension: what a file is, its bytes say.
    private const string Upload = "team/upload";

    // Its sidecar leaves open what it holds.
    private const string Unlisted = "whole_module_legacy.pt";

    // Hostile files would create it, where they could.
    private const string Evidence = "CLOUDSHARDS_PWNED";

    public static TheoryData<string> Accepted => CorpusFile.Names(file => file.Format != "hf-index" && !Refusals.All.Any(refused => refused.File == file.Name));

    public static TheoryData<string, CheckpointError> Refused => new(Refusals.All);

    public static TheoryData<string> Published => CorpusFile.RealFiles.IsEmpty
        ? [new TheoryDataRow<string>("") { Skip = "`shared/real` is not beside this clone." }]
        : [.. CorpusFile.RealFiles.Select(file => file.Name)];

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Theory]
    [MemberData(nameof(Accepted))]
    public Task AnUploadIsReadBackTensorByTensor(string name) => AssertShardedAsync(CorpusFile.Get(name));

    [Theory]
    [MemberData(nameof(Published))]
    public Task APublishedFileIsReadBackTensorByTensor(string name) => AssertShardedAsync(CorpusFile.RealFiles.Single(file => file.Name == name));

    [Theory]
    [MemberData(nameof(Refused))]
    public async Task ARefusedUploadLeavesItsCauseAndNothingElse(string name, CheckpointError cause)
    {
        var storage = await StorageContainers.CreateAsync(azurite);
        var upload = await storage.UploadAsync(Upload, new(CorpusFile.Get(name).ReadAllBytes()));

        var status = await storage.NewPipeline().UploadedAsync(upload.Event, Token);

        Assert.Equal((JobState.Failed, $"{cause}", null), (status.State, status.Error?.Cause, status.Reference));
        Assert.NotEmpty(status.Error!.Message);
        Assert.Equal(status, await storage.NewPipeline().TryGetStatusAsync(Upload, upload.ETag, Token));
        Assert.Empty(await storage.StoredAsync());
        Assert.False(File.Exists(Evidence), "The file has run code.");
    }

    private async Task AssertShardedAsync(CorpusFile file)
    {
        Assert.True(file.Expect != CorpusExpectation.Reject, $"The cause of the refusal of `{file}` is missing in `{nameof(Refusals)}`.");
        var storage = await StorageContainers.CreateAsync(azurite);
        var upload = await storage.UploadAsync(Upload, new(file.ReadAllBytes()));

        var status = await storage.NewPipeline().UploadedAsync(upload.Event, Token);

        Assert.Equal((JobState.Committed, null), (status.State, status.Error));
        var manifest = await storage.ReadAllAsync(Upload);
        if (file.Name == Unlisted)
        {
            Assert.NotEmpty(manifest.Tensors);
        }
        else
        {
            CorpusAssert.Lists(file.Tensors, manifest);
        }

        Assert.Equal([new ManifestSource(Upload, file.Bytes, file.Format)], manifest.Source);
        Assert.Equal(
            manifest.Tensors.Select(tensor => StoreLayout.Shard(tensor.Digest)).Append(StoreLayout.Manifest(Upload, Digest.Of(manifest.ToUtf8())))
                .Append(StoreLayout.Tag(Upload, ShardTag.Latest)).Concat(CorpusAssert.PacksOf(manifest)).Distinct().Order(StringComparer.Ordinal),
            (await storage.StoredAsync()).Keys);
        Assert.False(File.Exists(Evidence), "The file has run code.");
    }
}
