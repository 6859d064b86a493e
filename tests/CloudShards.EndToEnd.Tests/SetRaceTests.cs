using CloudShards.Formats;
using CloudShards.Sharding;
using CloudShards.Testing;

namespace CloudShards.EndToEnd.Tests;

/// <summary>Sets of which a file is replaced while a worker has them.</summary>
public sealed class SetRaceTests(AzuriteFixture azurite)
{
    private const string Index = "model/model.safetensors.index.json";
    private const string Part = "model/model-00001-of-00001.safetensors";

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
            var index = await storage.UploadAsync(Index, new("""{"weight_map": {"t": "model-00001-of-00001.safetensors"}}"""));
            await storage.UploadAsync(Part, await PartAsync(seed: 1));
            var (newer, last, moment) = ((Upload?)null, (JobStatus?)null, at);
            hook.Sending = async (number, _) =>
            {
                if (number == moment)
                {
                    newer = await storage.UploadAsync(Part, await PartAsync(seed: 2));
                    last = isOvertaken ? await storage.Plain.NewPipeline().UploadedAsync(newer.Event, Token) : null;
                }
            };

            var status = await storage.NewPipeline().UploadedAsync(index.Event, Token);

            if (newer is null)
            {
                requests = hook.Count;
                Assert.Equal(JobState.Committed, status.State);
                continue;
            }

            last ??= await storage.Plain.NewPipeline().UploadedAsync(newer.Event, Token);
            Assert.Equal(JobState.Committed, last.State);
            Assert.Equal(last.Reference, $"model@{(await storage.TagAsync("model"))!.Digest}");
            await CheckpointSet.AssertAllSayAsync(last, [index, newer], storage);
            await storage.ReadAllAsync("model");
        }
    }

    /// <summary>A worker that saw the set incomplete tells its files so when another has handed it out by then.</summary>
    [Fact]
    public async Task AFileOfASetInWorkDoesNotWait()
    {
        var options = new ShardingOptions { MaxBatchShards = 10, MaxPackedBytes = 0 };
        var set = CheckpointSet.OfCorpus("hf_st");
        var requests = int.MaxValue;
        for (var at = 0; at < requests; at++)
        {
            var hook = new RequestHook();
            var storage = await StorageContainers.CreateAsync(azurite, hook);
            var queue = await BatchQueue.CreateAsync(azurite);
            var uploads = new List<Upload>(await CheckpointSet.UploadAsync(storage, [set.Index, set.Parts[0]]));
            var moment = at;
            hook.Answered = async (number, _) =>
            {
                if (number == moment)
                {
                    uploads.Add(await storage.UploadAsync(set.Parts[1].Path, set.Parts[1].Content));
                    await storage.Plain.NewPipeline(options, queue.Client).UploadedAsync(uploads[^1].Event, Token);
                }
            };

            await storage.NewPipeline(options, queue.Client).UploadedAsync(uploads[0].Event, Token);

            if (uploads.Count < 3)
            {
                requests = hook.Count;
                continue;
            }

            foreach (var upload in uploads)
            {
                var status = await storage.Plain.NewPipeline().TryGetStatusAsync(upload.Path, upload.ETag, Token);
                Assert.Equal((JobState.Sharding, null), (status!.State, status.WaitsFor));
            }

            await queue.WorkOffAsync(storage.Plain.NewPipeline(options, queue.Client));
            Assert.Equal(JobState.Committed, (await storage.Plain.NewPipeline().TryGetStatusAsync(uploads[0].Path, uploads[0].ETag, Token))!.State);
        }
    }

    private static Task<BinaryData> PartAsync(int seed) => Checkpoints.SafetensorsAsync(seed, new SyntheticTensor("t", TensorDType.U8, [16]));
}
