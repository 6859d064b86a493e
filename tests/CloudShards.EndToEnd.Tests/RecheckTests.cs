using Azure.Storage.Blobs;
using Azure.Storage.Queues;
using CloudShards.Formats;
using CloudShards.Sharding;
using CloudShards.Testing;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;

namespace CloudShards.EndToEnd.Tests;

/// <summary>Batches that were written half a day ago: whether their shards are still there is asked once, and what is gone is written again.</summary>
public sealed class RecheckTests(AzuriteFixture azurite) : IDisposable
{
    private const int Tensors = 12;

    // Of two shards each; the pack, of all tensors up to six bytes, is a batch of its own.
    private static readonly Dictionary<int, int> Batches = new() { [0] = 6, [6] = 4 };
    private static readonly TimeSpan Long = TimeSpan.FromHours(13);
    private readonly string _folder = Directory.CreateTempSubdirectory("cloudshards-").FullName;
    private BlobContainerClient? _uploads;

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Theory]
    [InlineData(0)]
    [InlineData(6)]
    public async Task EachBatchIsCheckedOnceAndItsFileIsNotRead(int packedBytes)
    {
        var requests = new RequestRecorder();
        var (worker, queue, last) = await AllButOneBatchAsync(packedBytes, requests);
        Age("work/jobs", Long);
        Age("shards", Long);

        Assert.Equal(JobState.Sharding, (await worker.BatchAsync(last, Token))!.State);
        var again = await queue.TakeAllAsync();
        Assert.Equal(Batches[packedBytes] - 1, again.Select(message => message.ToString()).Distinct().Count());
        requests.Clear();
        var statuses = new List<JobState>();
        foreach (var message in again)
        {
            statuses.Add((await worker.BatchAsync(message, Token))!.State);
        }

        Assert.Equal([.. Enumerable.Repeat(JobState.Sharding, Batches[packedBytes] - 2), JobState.Committed], statuses);
        Assert.Equal(0, await queue.CountAsync());
        Assert.DoesNotContain(requests.Requests, request => request.Method == "GET");
        await AssertWholeAsync();
    }

    [Theory]
    [InlineData(0)]
    [InlineData(6)]
    public async Task WhatIsGoneIsWrittenAgain(int packedBytes)
    {
        var (worker, queue, last) = await AllButOneBatchAsync(packedBytes);
        Age("work/jobs", Long);
        string[] packs = Directory.Exists(Path.Combine(_folder, "shards/packs")) ? [.. Files("shards/packs").Take(1)] : [];
        foreach (var gone in Files("shards/tensors").Take(5).Concat(packs))
        {
            File.Delete(gone);
        }

        await worker.BatchAsync(last, Token);
        foreach (var message in await queue.TakeAllAsync())
        {
            await worker.BatchAsync(message, Token);
        }

        Assert.Equal(packedBytes > 0, packs.Length > 0);
        await AssertWholeAsync();
    }

    [Fact]
    public async Task WorkersThatFindItAtOnceSendEachBatchOnce()
    {
        var (_, queue, last) = await AllButOneBatchAsync(0);
        Age("work/jobs", Long);

        var clock = new FakeTimeProvider(DateTimeOffset.UtcNow);
        await Task.WhenAll(Enumerable.Range(0, 4).Select(_ => Worker(0, queue.Client, clock).BatchAsync(last, Token)));

        // The others' messages show once the one who sends is done, or dead.
        var again = await queue.TakeAllAsync();
        Assert.Equal(Batches[0] - 1, again.Count);
        Assert.Equal(Batches[0] - 1, again.Select(message => message.ToString()).Distinct().Count());
    }

    [Fact]
    public async Task WhatAgesWhileTheOthersAreCheckedIsCheckedAsWell()
    {
        var (_, queue, last) = await AllButOneBatchAsync(0);
        var receipts = Files("work/jobs").Where(file => file.Contains("receipts", StringComparison.Ordinal)).ToList();
        receipts.ForEach(receipt => File.SetLastWriteTimeUtc(receipt, DateTime.UtcNow - TimeSpan.FromHours(receipt == receipts[0] ? 13 : 5)));
        var clock = new FakeTimeProvider(DateTimeOffset.UtcNow);
        await Worker(0, queue.Client, clock).BatchAsync(last, Token);
        var first = await queue.TakeAllAsync();
        Assert.Single(first);

        // The queue is slow: by now the others are too old, and they were not sent. Those that are younger will be while they are checked.
        clock.Advance(TimeSpan.FromHours(8));
        await Worker(0, queue.Client, clock).BatchAsync(first[0], Token);

        Assert.Equal(Batches[0], (await queue.TakeAllAsync()).Select(message => message.ToString()).Distinct().Count());
    }

    [Fact]
    public async Task AWorkerMayDieAtAnyRequestOfTheCheck()
    {
        var options = new ShardingOptions { MaxBatchShards = 2, MaxPackedBytes = 0 };
        var requests = int.MaxValue;
        for (var at = 0; at < requests; at += 2)
        {
            var hook = new RequestHook();
            var storage = await StorageContainers.CreateAsync(azurite, hook);
            var queue = await BatchQueue.CreateAsync(azurite);
            var upload = await storage.UploadAsync("model.safetensors", await FileAsync());
            await storage.Plain.NewPipeline(options, queue.Client).UploadedAsync(upload.Event, Token);
            var messages = await queue.TakeAllAsync();
            foreach (var message in messages.SkipLast(1))
            {
                await storage.Plain.NewPipeline(options, queue.Client).BatchAsync(message, Token);
            }

            var clock = new FakeTimeProvider(DateTimeOffset.UtcNow + Long);
            using var life = CancellationTokenSource.CreateLinkedTokenSource(Token);
            var moment = at;
            hook.Answered = (number, _) => number == moment ? life.CancelAsync() : Task.CompletedTask;
            var died = await Record.ExceptionAsync(() => storage.NewPipeline(options, queue.Client, clock).BatchAsync(messages[^1], life.Token));
            requests = died is null ? at : requests;
            clock.Advance(JobRuns.ClaimLifetime);

            await storage.Plain.NewPipeline(options, queue.Client, clock).BatchAsync(messages[^1], Token);

            var again = (await queue.TakeAllAsync()).Select(message => message.ToString()).Distinct().ToList();
            Assert.Equal(Batches[0], again.Count);
            foreach (var message in again)
            {
                await storage.Plain.NewPipeline(options, queue.Client, clock).BatchAsync(new(message), Token);
            }

            Assert.Equal(JobState.Committed, (await storage.Plain.NewPipeline(options, queue.Client).BatchAsync(messages[0], Token))!.State);
            await storage.ReadAllAsync("model");
        }

        Assert.InRange(requests, 5, 1000);
    }

    private async Task<(CheckpointPipeline Worker, BatchQueue Queue, BinaryData Last)> AllButOneBatchAsync(int packedBytes, RequestRecorder? requests = null)
    {
        var queue = await BatchQueue.CreateAsync(azurite);
        _uploads = (await StorageContainers.CreateAsync(azurite, requests is null ? [] : [requests])).Uploads;
        var worker = Worker(packedBytes, queue.Client);
        var blob = _uploads.GetBlobClient("model.safetensors");
        var written = (await blob.UploadAsync(await FileAsync(), Token)).Value;
        await worker.UploadedAsync(UploadEvent.Create(blob.Uri, _uploads.Name, blob.Name, written.ETag, written.LastModified), Token);
        var messages = await queue.TakeAllAsync();
        Assert.Equal(Batches[packedBytes], messages.Count);
        foreach (var message in messages.SkipLast(1))
        {
            await worker.BatchAsync(message, Token);
        }

        return (worker, queue, messages[^1]);
    }

    // In folders, whose files can be made older.
    private CheckpointPipeline Worker(int packedBytes, QueueClient queue, TimeProvider? clock = null) => new(
        _uploads!,
        new DirectoryShardStore(Path.Combine(_folder, "shards")),
        new DirectoryShardStore(Path.Combine(_folder, "work")),
        null,
        queue,
        new() { MaxBatchShards = 2, MaxPackedBytes = packedBytes },
        clock ?? TimeProvider.System,
        NullLogger<CheckpointPipeline>.Instance);

    private string[] Files(string folder) => [.. Directory.EnumerateFiles(Path.Combine(_folder, folder), "*", SearchOption.AllDirectories).Order(StringComparer.Ordinal)];

    private void Age(string folder, TimeSpan age) => Array.ForEach(Files(folder), file => File.SetLastWriteTimeUtc(file, DateTime.UtcNow - age));

    private async Task AssertWholeAsync()
    {
        var store = new DirectoryShardStore(Path.Combine(_folder, "shards"));
        await using var checkpoint = await ShardedCheckpoint.OpenFromAsync(store, "model", cancellationToken: Token);
        foreach (var tensor in checkpoint.Tensors)
        {
            var bytes = new byte[tensor.Bytes];
            await store.ReadAsync(StoreLayout.Shard(tensor.Digest), 0, bytes, Token);
            Assert.Equal(tensor.Digest, Digest.Of(bytes));
        }

        foreach (var pack in checkpoint.Manifest.Packs.IsDefault ? [] : checkpoint.Manifest.Packs)
        {
            var bytes = new byte[pack.Bytes];
            await store.ReadAsync(StoreLayout.Pack(pack.Digest), 0, bytes, Token);
            Assert.Equal(pack.Digest, Digest.Of(bytes));
        }
    }

    private static Task<BinaryData> FileAsync() => Checkpoints.SafetensorsAsync(
        0, [.. Enumerable.Range(0, Tensors).Select(i => new SyntheticTensor($"t{i:d2}", TensorDType.U8, [i + 1]))]);
}
