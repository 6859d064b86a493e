using Azure.Core.Pipeline;
using CloudShards.Formats;
using CloudShards.Sharding;
using CloudShards.Testing;

namespace CloudShards.EndToEnd.Tests;

/// <summary>Sets that are sharded by many workers: the jobs of all files say what the set's says, whoever dies and whoever is late.</summary>
public sealed class SetFanOutTests(AzuriteFixture azurite)
{
    private static readonly ShardingOptions Options = new() { MaxBatchShards = 2, MaxPackedBytes = 0 };

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    /// <summary>At each request of a late event's worker the batches are all written. What it knew by then must not be the last word.</summary>
    [Fact]
    public async Task ALateEventDoesNotUndoWhatTheBatchesSaid()
    {
        var requests = int.MaxValue;
        for (var at = 0; at < requests; at++)
        {
            var hook = new RequestHook();
            var (storage, queue, uploads) = await UploadAsync(hook);
            var (moment, isDone) = (at, false);
            await storage.Plain.NewPipeline(Options, queue.Client).UploadedAsync(uploads[0].Event, Token);
            await ClearAsync(storage, uploads[2]);
            hook.Answered = async (number, _) =>
            {
                if (number == moment)
                {
                    isDone = true;
                    await queue.WorkOffAsync(storage.Plain.NewPipeline(Options, queue.Client));
                }
            };

            await storage.NewPipeline(Options, queue.Client).UploadedAsync(uploads[2].Event, Token);

            if (!isDone)
            {
                requests = hook.Count;
                continue;
            }

            var set = await StatusAsync(storage, uploads[0]);
            Assert.Equal(JobState.Committed, set.State);
            await CheckpointSet.AssertAllSayAsync(set, uploads, storage.Plain);
        }

        Assert.InRange(requests, 5, 1000);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task AWorkerMayDieAtAnyRequestOfTheLastBatchAndNoFileIsForgotten(bool onceTheServerHasDoneItsPart)
    {
        var requests = int.MaxValue;
        for (var at = 0; at < requests; at++)
        {
            var hook = new RequestHook();
            var (storage, queue, uploads) = await UploadAsync(hook);
            await storage.Plain.NewPipeline(Options, queue.Client).UploadedAsync(uploads[0].Event, Token);
            var messages = await queue.TakeAllAsync();
            foreach (var message in messages.Skip(1))
            {
                await storage.Plain.NewPipeline(Options, queue.Client).BatchAsync(message, Token);
            }

            using var life = CancellationTokenSource.CreateLinkedTokenSource(Token);
            var moment = at;
            Task DieAsync(int number) => number == moment ? life.CancelAsync() : Task.CompletedTask;
            hook.Sending = (number, _) => onceTheServerHasDoneItsPart ? Task.CompletedTask : DieAsync(number);
            hook.Answered = (number, _) => onceTheServerHasDoneItsPart ? DieAsync(number) : Task.CompletedTask;
            var died = await Record.ExceptionAsync(() => storage.NewPipeline(Options, queue.Client).BatchAsync(messages[0], life.Token));
            requests = died is null ? at : requests;

            var set = await storage.Plain.NewPipeline(Options, queue.Client).BatchAsync(messages[0], Token);
            Assert.Equal(JobState.Committed, set!.State);
            await CheckpointSet.AssertAllSayAsync(set, uploads, storage.Plain);
        }

        Assert.InRange(requests, 10, 1000);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task AWorkerMayDieAtAnyRequestOfASmallSetAndNoFileIsForgotten(bool onceTheServerHasDoneItsPart)
    {
        var requests = int.MaxValue;
        for (var at = 0; at < requests; at++)
        {
            var hook = new RequestHook();
            var (storage, _, uploads) = await UploadAsync(hook);
            using var life = CancellationTokenSource.CreateLinkedTokenSource(Token);
            var moment = at;
            Task DieAsync(int number) => number == moment ? life.CancelAsync() : Task.CompletedTask;
            hook.Sending = (number, _) => onceTheServerHasDoneItsPart ? Task.CompletedTask : DieAsync(number);
            hook.Answered = (number, _) => onceTheServerHasDoneItsPart ? DieAsync(number) : Task.CompletedTask;
            var died = await Record.ExceptionAsync(() => storage.NewPipeline().UploadedAsync(uploads[1].Event, life.Token));
            requests = died is null ? at : requests;

            // No other event comes: the files before had theirs while the set was incomplete.
            await storage.Plain.NewPipeline().UploadedAsync(uploads[1].Event, Token);

            var set = await StatusAsync(storage, uploads[1]);
            Assert.Equal(JobState.Committed, set.State);
            await CheckpointSet.AssertAllSayAsync(set, uploads, storage.Plain);
        }

        Assert.InRange(requests, 10, 1000);
    }

    /// <summary>A set of many files, all of whose events come late: each tells its own, and not each all.</summary>
    [Fact]
    public async Task LateEventsCostTheSameHoweverManyFilesTheSetHas()
    {
        const int Parts = 12;
        var requests = new RequestRecorder();
        var storage = await StorageContainers.CreateAsync(azurite, requests);
        var queue = await BatchQueue.CreateAsync(azurite);
        var uploads = await CheckpointSet.UploadAsync(storage, await FilesAsync(Parts));
        await storage.NewPipeline(Options, queue.Client).UploadedAsync(uploads[0].Event, Token);
        requests.Clear();
        foreach (var upload in uploads)
        {
            await ClearAsync(storage, upload);
            await storage.NewPipeline(Options, queue.Client).UploadedAsync(upload.Event, Token);
        }

        var written = requests.Requests.Where(request => request.Method == "PUT" && request.Path.Contains(storage.Work.Name, StringComparison.Ordinal));
        Assert.InRange(written.Count(), uploads.Length, 3 * uploads.Length);
    }

    private async Task<(StorageContainers Storage, BatchQueue Queue, IReadOnlyList<Upload> Uploads)> UploadAsync(params HttpPipelinePolicy[] policies)
    {
        var storage = await StorageContainers.CreateAsync(azurite, policies);
        return (storage, await BatchQueue.CreateAsync(azurite), await CheckpointSet.UploadAsync(storage, await FilesAsync(2)));
    }

    private static async Task<IReadOnlyList<SetFile>> FilesAsync(int parts)
    {
        string Name(int part) => $"model-{part:d5}-of-{parts:d5}.safetensors";
        var files = new List<SetFile>
        {
            new("set/model.safetensors.index.json", BinaryData.FromObjectAsJson(new
            {
                weight_map = Enumerable.Range(1, parts).SelectMany(part => Enumerable.Range(0, 3).Select(i => KeyValuePair.Create($"t{part}.{i}", Name(part)))).ToDictionary(),
            })),
        };
        foreach (var part in Enumerable.Range(1, parts))
        {
            files.Add(new($"set/{Name(part)}", await Checkpoints.SafetensorsAsync(
                part, [.. Enumerable.Range(0, 3).Select(i => new SyntheticTensor($"t{part}.{i}", TensorDType.U8, [8]))])));
        }

        return files;
    }

    private static async Task ClearAsync(StorageContainers storage, Upload upload) => await storage.Plain.Work.DeleteBlobIfExistsAsync(
        $"jobs/{JobStore.IdOf(upload.Path, UploadEvent.TextOf(upload.ETag))}/status.json", cancellationToken: Token);

    private static async Task<JobStatus> StatusAsync(StorageContainers storage, Upload upload) =>
        (await storage.Plain.NewPipeline().TryGetStatusAsync(upload.Path, upload.ETag, Token))!;
}
