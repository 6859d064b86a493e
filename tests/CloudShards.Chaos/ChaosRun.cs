using System.Collections.Concurrent;
using Azure.Storage.Blobs;
using Azure.Storage.Queues;
using CloudShards.Formats;
using CloudShards.LocalHost;
using CloudShards.Sharding;
using CloudShards.Testing;
using Microsoft.Extensions.Logging.Abstractions;

namespace CloudShards.Chaos;

/// <summary>
/// Real workers over one Azurite, killed at random instants, while checkpoints are uploaded, two at once under one name, and their events are
/// repeated in any order. In the end every manifest must be one that a quiet run writes, <c>latest</c> the newest upload's, and every job over.
/// </summary>
internal sealed class ChaosRun
{
    private static readonly TimeSpan Poll = TimeSpan.FromMilliseconds(300);

    private readonly ChaosOptions _options;
    private readonly Action<string> _log;
    private readonly Random _random;
    private readonly string _connection;
    private readonly BlobServiceClient _blobs;
    private readonly LocalStorage _storage;
    private readonly ConcurrentDictionary<(string Path, string ETag), int> _seedOf = new();
    private readonly List<string> _problems = [];

    private ChaosRun(ChaosOptions options, Action<string> log, string connection)
    {
        (_options, _log, _random, _connection) = (options, log, new(options.Seed), connection);
        _blobs = new(connection);
        _storage = LocalStorage.Open(new() { ConnectionString = connection });
    }

    /// <summary>Runs, and tells what went wrong.</summary>
    public static async Task<ChaosReport> RunAsync(ChaosOptions options, Action<string> log, CancellationToken cancellationToken)
    {
        await using var server = await AzuriteServer.StartAsync(new() { Progress = new Progress<string>(log) }, cancellationToken);
        return await new ChaosRun(options, log, server.ConnectionString).RunAsync(cancellationToken);
    }

    private async Task<ChaosReport> RunAsync(CancellationToken cancellationToken)
    {
        await _storage.CreateAsync(cancellationToken);
        using var end = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        var watch = new ManifestWatch(_storage.Shards);
        var watching = watch.RunAsync(end.Token);
        var workers = Enumerable.Range(0, _options.Workers).Select(_ => new Worker(_connection, _options)).ToArray();
        try
        {
            var uploads = UploadAsync(new Random(_options.Seed + 1), cancellationToken);
            await KillAsync(workers, cancellationToken);
            await uploads;
            _log("No more kills; the survivors finish.");
            await AllEndedAsync(workers, cancellationToken);
        }
        finally
        {
            Array.ForEach(workers, worker => worker.Dispose());
            await end.CancelAsync();
            await watching;
        }

        await watch.CheckAsync(cancellationToken);
        var states = await CheckJobsAsync(cancellationToken);
        await CheckManifestsAsync(cancellationToken);
        return new(_options.Kills, _seedOf.Count, states[JobState.Committed].Count(), states[JobState.Superseded].Count(), watch.Checked, [.. _problems, .. watch.Problems]);
    }

    private async Task KillAsync(Worker[] workers, CancellationToken cancellationToken)
    {
        for (var kill = 0; kill < _options.Kills; kill++)
        {
            await Task.Delay(_random.Next(300, 1500), cancellationToken);
            var victim = _random.Next(workers.Length);
            if (workers[victim].HasEnded)
            {
                _problems.Add($"Before kill {kill} a worker had ended by itself.");
            }

            workers[victim].Dispose();
            workers[victim] = new(_connection, _options);
        }
    }

    // Pairs go up at once under one name, and the service decides which of them is the newer.
    private async Task UploadAsync(Random random, CancellationToken cancellationToken)
    {
        for (var seed = 0; seed < _options.Uploads; seed += 2)
        {
            var path = $"model{seed / 2 % _options.Names}.safetensors";
            await Task.WhenAll(UploadAsync(path, seed, cancellationToken), UploadAsync(path, seed + 1, cancellationToken));
            await RepeatEventsAsync(random, cancellationToken);
            await Task.Delay(random.Next(200, 1200), cancellationToken);
        }
    }

    private async Task UploadAsync(string path, int seed, CancellationToken cancellationToken)
    {
        var written = (await _storage.Uploads.GetBlobClient(path).UploadAsync(await FileAsync(seed, cancellationToken), overwrite: true, cancellationToken)).Value;
        _seedOf[(path, written.ETag.ToString().Trim('"'))] = seed;
    }

    // Event Grid repeats and reorders.
    private async Task RepeatEventsAsync(Random random, CancellationToken cancellationToken)
    {
        foreach (var (path, etag) in _seedOf.Keys.OrderBy(_ => random.Next()).Take(3))
        {
            var message = UploadEvent.Create(_storage.Uploads.GetBlobClient(path).Uri, _storage.Uploads.Name, path, new(etag), DateTimeOffset.UtcNow);
            await _storage.Events.SendMessageAsync(Convert.ToBase64String(message), cancellationToken);
        }
    }

    private async Task AllEndedAsync(Worker[] workers, CancellationToken cancellationToken)
    {
        using var patience = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        patience.CancelAfter(_options.Patience);
        try
        {
            while (!await IsQuietAsync(patience.Token))
            {
                await Task.Delay(Poll, patience.Token);
            }
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            _problems.Add($"After {_options.Patience} there still is work; {workers.Count(worker => worker.HasEnded)} workers have ended.");
        }
    }

    private async Task<bool> IsQuietAsync(CancellationToken cancellationToken)
    {
        foreach (var queue in (QueueClient[])[_storage.Events, _storage.Batches, _storage.FailedEvents, _storage.FailedBatches])
        {
            if ((await queue.GetPropertiesAsync(cancellationToken)).Value.ApproximateMessagesCount > 0)
            {
                return false;
            }
        }

        return true;
    }

    private async Task<ILookup<JobState, JobStatus>> CheckJobsAsync(CancellationToken cancellationToken)
    {
        var pipeline = Pipeline(_storage.Uploads, _storage.Shards, _storage.Work);
        var statuses = new List<JobStatus>();
        foreach (var (path, etag) in _seedOf.Keys)
        {
            if (await pipeline.TryGetStatusAsync(path, new(etag), cancellationToken) is { } status)
            {
                statuses.Add(status);
            }
        }

        // Of two uploads at once only the one that stays is certain to be seen by a watcher.
        _problems.AddRange(statuses.Where(status => status.State is not (JobState.Committed or JobState.Superseded))
            .Select(status => $"The job of {status.Path} ({status.ETag}) is {status.State}: {status.Error?.Message}"));
        return statuses.ToLookup(status => status.State);
    }

    private async Task CheckManifestsAsync(CancellationToken cancellationToken)
    {
        var tags = new CheckpointTags(new BlobShardStore(_storage.Shards));
        foreach (var upload in _seedOf.GroupBy(upload => upload.Key.Path))
        {
            var name = CheckpointName.FromUpload(upload.Key);
            var expected = new Dictionary<string, Digest>(StringComparer.Ordinal);
            foreach (var ((path, etag), seed) in upload)
            {
                expected[etag] = await QuietDigestAsync(path, seed, cancellationToken);
            }

            await foreach (var blob in new BlobShardStore(_storage.Shards).ListAsync($"checkpoints/{name}/manifests/", cancellationToken))
            {
                if (!expected.Values.Any(digest => StoreLayout.Manifest(name, digest) == blob.Name))
                {
                    _problems.Add($"{blob.Name} is none that a quiet run writes.");
                }
            }

            var newest = (await _storage.Uploads.GetBlobClient(upload.Key).GetPropertiesAsync(cancellationToken: cancellationToken)).Value.ETag;
            var tag = await tags.TryReadAsync(CheckpointReference.Parse(name), cancellationToken);
            if (tag?.Digest != expected[newest.ToString().Trim('"')])
            {
                _problems.Add($"`{name}:latest` is {tag?.Digest.ToString() ?? "missing"}, not the newest upload's.");
            }
        }
    }

    // Another container of the same account, where nothing happens but this.
    private async Task<Digest> QuietDigestAsync(string path, int seed, CancellationToken cancellationToken)
    {
        var name = $"quiet{seed}";
        var uploads = _blobs.GetBlobContainerClient($"{name}-u");
        var (shards, work) = (_blobs.GetBlobContainerClient($"{name}-s"), _blobs.GetBlobContainerClient($"{name}-w"));
        foreach (var container in (BlobContainerClient[])[uploads, shards, work])
        {
            await container.CreateAsync(cancellationToken: cancellationToken);
        }

        var blob = uploads.GetBlobClient(path);
        var written = (await blob.UploadAsync(await FileAsync(seed, cancellationToken), cancellationToken)).Value;
        var message = UploadEvent.Create(blob.Uri, uploads.Name, path, written.ETag, written.LastModified);
        var status = await Pipeline(uploads, shards, work).UploadedAsync(message, cancellationToken);
        return CheckpointReference.Parse(status.Reference!).Digest!.Value;
    }

    private static CheckpointPipeline Pipeline(BlobContainerClient uploads, BlobContainerClient shards, BlobContainerClient work) => new(
        uploads, new BlobShardStore(shards), new BlobShardStore(work), null, null, new(), TimeProvider.System, NullLogger<CheckpointPipeline>.Instance);

    // A third of the tensors is the same in all versions, as a fine-tune leaves them.
    private static async Task<BinaryData> FileAsync(int seed, CancellationToken cancellationToken)
    {
        using var file = new MemoryStream();
        var tensors = Enumerable.Range(0, 60).Select(i => new SyntheticTensor($"layer{i}.weight", TensorDType.F32, [i + 1, i % 3 == 0 ? 64 : 64 + seed]));
        await new SyntheticCheckpoint([.. tensors]).WriteSafetensorsAsync(file, cancellationToken);
        return new(file.ToArray());
    }
}
