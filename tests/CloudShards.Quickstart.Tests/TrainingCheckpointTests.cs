using Azure.Storage.Blobs.Models;
using CloudShards;
using CloudShards.Sharding;
using CloudShards.Testing;
using Microsoft.Extensions.Logging.Abstractions;
using static TorchSharp.torch;

namespace Quickstart.Tests;

/// <summary>
/// The main job: PyTorch's own training checkpoint (model, optimizer and plain values, nested) is uploaded, sharded by the pipeline, and loaded
/// into a module that gives PyTorch's answers.
/// </summary>
public sealed class TrainingCheckpointTests(AzuriteFixture azurite)
{
    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task ATrainingCheckpointOfPyTorchGivesPyTorchsLogits()
    {
        var shards = await azurite.NewContainerAsync();
        var status = await ShardAsync(Path.Combine(Repository.Corpus, "digits", "digits.pt"), new BlobShardStore(shards));
        await using var checkpoint = await ShardedCheckpoint.OpenAsync(shards, "digits", cancellationToken: Token);
        using var model = new DigitClassifier();

        await model.LoadShardsAsync(checkpoint, new() { Prefix = "model." }, cancellationToken: Token);

        Assert.Equal((JobState.Committed, checkpoint.Reference.ToString()), (status.State, status.Reference));
        Assert.Contains(checkpoint.Tensors, tensor => tensor.Name.StartsWith("optimizer.", StringComparison.Ordinal));
        Assert.Equal(System.Text.Json.JsonValueKind.Number, checkpoint.Manifest.Values.GetProperty("epoch").ValueKind);
        using var digits = HeldOutDigits.Read(Path.Combine(Repository.Corpus, "digits", "digits-heldout.csv"));
        using var scope = NewDisposeScope();
        using var frozen = no_grad();
        model.eval();
        var logits = model.forward(digits.Images);
        Assert.Equal(300, logits.argmax(1).eq(digits.Labels).sum().item<long>());
        Assert.InRange((logits - digits.Logits).abs().max().item<float>(), 0, 1e-3f);
    }

    private async Task<JobStatus> ShardAsync(string file, IShardStore shards)
    {
        var uploads = await azurite.NewContainerAsync();
        var work = await azurite.NewContainerAsync();
        var blob = uploads.GetBlobClient(Path.GetFileName(file));
        BlobContentInfo written = await blob.UploadAsync(file, overwrite: true, Token);
        var pipeline = new CheckpointPipeline(
            uploads, shards, new BlobShardStore(work), null, null, new(), TimeProvider.System, NullLogger<CheckpointPipeline>.Instance);
        return await pipeline.UploadedAsync(UploadEvent.Create(blob.Uri, uploads.Name, blob.Name, written.ETag, written.LastModified), Token);
    }
}
