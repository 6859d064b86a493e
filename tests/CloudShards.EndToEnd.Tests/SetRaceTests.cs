using CloudShards.Formats;
using CloudShards.Sharding;
using CloudShards.Testing;

namespace CloudShards.EndToEnd.Tests;

/// <summary>Sets of which a file is replaced while a worker has them.</summary>
public sealed class SetRaceTests(AzuriteFixture azurite)
{
    private static readonly string[] Paths =
        ["model/model.safetensors.index.json", "model/model-00001-of-00002.safetensors", "model/model-00002-of-00002.safetensors"];

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    /// <summary>At a request of a worker, a part is replaced. Another worker has the newer event, at once or once the first one has ended.</summary>
    [Theory]
    [InlineData(true, 1)]
    [InlineData(false, 3)]
    public async Task TheNewerSetHasTheLastWordWheneverAPartIsReplaced(bool isOvertaken, int every)
    {
        var requests = int.MaxValue;
        for (var at = 0; at < requests; at += every)
        {
            var hook = new RequestHook();
            var storage = await StorageContainers.CreateAsync(azurite, hook);
            var uploads = await UploadAsync(storage);
            var (newer, last, moment) = ((Upload?)null, (JobStatus?)null, at);
            hook.Sending = async (number, _) =>
            {
                if (number == moment)
                {
                    newer = await storage.UploadAsync(Paths[2], await PartAsync("b", seed: 2));
                    last = isOvertaken ? await storage.Plain.NewPipeline().UploadedAsync(newer.Event, Token) : null;
                }
            };

            var status = await storage.NewPipeline().UploadedAsync(uploads[0].Event, Token);

            if (newer is null)
            {
                requests = hook.Count;
                Assert.Equal(JobState.Committed, status.State);
                continue;
            }

            last ??= await storage.Plain.NewPipeline().UploadedAsync(newer.Event, Token);
            Assert.Equal(JobState.Committed, last.State);
            Assert.Equal(last.Reference, $"model@{(await storage.TagAsync("model"))!.Digest}");
            await CheckpointSet.AssertAllSayAsync(last, [uploads[0], uploads[1], newer], storage);
            await storage.ReadAllAsync("model");
        }
    }

    private static async Task<Upload[]> UploadAsync(StorageContainers storage) =>
    [
        await storage.UploadAsync(Paths[0], new("""{"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}""")),
        await storage.UploadAsync(Paths[1], await PartAsync("a", seed: 1)),
        await storage.UploadAsync(Paths[2], await PartAsync("b", seed: 1)),
    ];

    private static Task<BinaryData> PartAsync(string tensor, int seed) => Checkpoints.SafetensorsAsync(seed, new SyntheticTensor(tensor, TensorDType.U8, [16]));
}
