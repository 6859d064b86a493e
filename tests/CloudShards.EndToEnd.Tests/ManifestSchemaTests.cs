using CloudShards.Formats;
using CloudShards.Sharding;
using CloudShards.Testing;

namespace CloudShards.EndToEnd.Tests;

/// <summary>The published schema against the manifests that the pipeline writes.</summary>
public sealed class ManifestSchemaTests(AzuriteFixture azurite)
{
    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData("plain.safetensors")]
    [InlineData("plain.pt")]
    [InlineData("tied.pt")]
    [InlineData("odd_keys.pt")]
    [InlineData("scalars_empty.pt")]
    [InlineData("sparse.pt")]
    [InlineData("quantised.pt")]
    [InlineData("dtypes.ts.dat")]
    public async Task WhatAnUploadBecomesConforms(string name)
    {
        var storage = await StorageContainers.CreateAsync(azurite);

        await AssertConformsAsync(storage, await storage.UploadAsync(CorpusFile.Get(name)));
    }

    [Fact]
    public async Task ATrainingCheckpointConforms()
    {
        var storage = await StorageContainers.CreateAsync(azurite);
        var file = await File.ReadAllBytesAsync(Path.Combine(Repository.Corpus, "digits", "digits.pt"), Token);

        await AssertConformsAsync(storage, await storage.UploadAsync("digits.pt", new(file)));
    }

    [Theory]
    [MemberData(nameof(CheckpointSet.Folders), MemberType = typeof(CheckpointSet))]
    public async Task WhatASetBecomesConforms(string folder)
    {
        var storage = await StorageContainers.CreateAsync(azurite);
        var uploads = await CheckpointSet.UploadAsync(storage, CheckpointSet.OfCorpus(folder).Files);

        await AssertConformsAsync(storage, uploads[^1]);
    }

    private static async Task AssertConformsAsync(StorageContainers storage, Upload upload)
    {
        var status = await storage.NewPipeline().UploadedAsync(upload.Event, Token);
        Assert.Equal(JobState.Committed, status.State);
        var reference = CheckpointReference.Parse(status.Reference!);
        var manifest = await storage.Shards.GetBlobClient(StoreLayout.Manifest(reference.Name, reference.Digest!.Value)).DownloadContentAsync(Token);

        Assert.Empty(await ManifestSchema.FaultsAsync(manifest.Value.Content.ToString()));
    }
}
