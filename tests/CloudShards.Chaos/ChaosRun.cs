using System.Collections.Concurrent;
using Azure.Storage.Blobs;
using Azure.Storage.Queues;
using CloudShards.Formats;
using CloudShards.LocalHost;
using CloudShards.Sharding;
using Microsoft.Extensions.Logging.Abstractions;

namespace CloudShards.Chaos;

/// <summary>
/// Real workers over one Azurite, killed at random instants, while checkpoints are uploaded, two at once under one name, their events are
/// repeated in any order, and garbage is swept. In the end every manifest must be one that a quiet run writes, <c>latest</c> the newest upload's, and every
/// job over.
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
    private readonly JobStore _jobs;
    private readonly ConcurrentDictionary<(string Path, string ETag), ChaosUpload> _uploads = new();
    private readonly List<string> _problems = [];

    private ChaosRun(ChaosOptions options, Action<string> log, string connection)
    {
        (_options, _log, _random, _connection) = (options, log, new(options.Seed), connection);
        _blobs = new(connection);
        _storage = LocalStorage.Open(new() { ConnectionString = connection });
        _jobs = new(new BlobShardStore(_storage.Work), TimeProvider.System);
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
        var garbage = await GarbageRun.CreateAsync(_storage.Shards, cancellationToken);
        var sweeping = garbage.RunAsync(end.Token);
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
            await sweeping;
        }

        await watch.CheckAsync(cancellationToken);
        var states = await CheckJobsAsync(cancellationToken);
        await CheckManifestsAsync(cancellationToken);
        return new(
            _options.Kills,
            _uploads.Count,
            states[JobState.Committed].Count(),
            states[JobState.Superseded].Count(),
            watch.Checked,
            [.. _problems, .. watch.Problems, .. await garbage.FindProblemsAsync(cancellationToken)]);
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

    // Pairs go up at once under one name, and the service decides which of them is the newer. A set, whose files are several, comes first and again in the
    // middle; and twice one that the service copies itself.
    private async Task UploadAsync(Random random, CancellationToken cancellationToken)
    {
        await UploadAsync(ChaosUpload.SetOf(0), cancellationToken);
        for (var seed = 0; seed < _options.Uploads; seed += 2)
        {
            var path = $"model{seed / 2 % _options.Names}.safetensors";
            await Task.WhenAll(
                UploadAsync([new(path, seed, ChaosUpload.Kind.Many)], cancellationToken), UploadAsync([new(path, seed + 1, ChaosUpload.Kind.Many)], cancellationToken));
            if (seed % (_options.Uploads / 2) is 2 or 3)
            {
                await UploadAsync([new("large.safetensors", seed, ChaosUpload.Kind.Large)], cancellationToken);
            }

            await RepeatEventsAsync(random, cancellationToken);
            await Task.Delay(random.Next(200, 1200), cancellationToken);
        }

        // The rule that a set which is replaced file by file waits until it is whole holds once there is a version before.
        await UntilAsync(async () => await TagAsync(ChaosUpload.SetName, cancellationToken) is not null, "the set has no version", cancellationToken);
        await UploadAsync(ChaosUpload.SetOf(1), cancellationToken);
    }

    private async Task UploadAsync(IEnumerable<ChaosUpload> files, CancellationToken cancellationToken)
    {
        foreach (var file in files)
        {
            var written = (await _storage.Uploads.GetBlobClient(file.Path).UploadAsync(await file.ContentAsync(cancellationToken), overwrite: true, cancellationToken)).Value;
            _uploads[(file.Path, written.ETag.ToString().Trim('"'))] = file;
        }
    }

    // Event Grid repeats and reorders.
    private async Task RepeatEventsAsync(Random random, CancellationToken cancellationToken)
    {
        foreach (var (path, etag) in _uploads.Keys.OrderBy(_ => random.Next()).Take(3))
        {
            var message = UploadEvent.Create(_storage.Uploads.GetBlobClient(path).Uri, _storage.Uploads.Name, path, new(etag), DateTimeOffset.UtcNow);
            await _storage.Events.SendMessageAsync(Convert.ToBase64String(message), cancellationToken);
        }
    }

    private Task AllEndedAsync(Worker[] workers, CancellationToken cancellationToken) => UntilAsync(
        () => IsQuietAsync(cancellationToken), $"there still is work; {workers.Count(worker => worker.HasEnded)} workers have ended", cancellationToken);

    private async Task UntilAsync(Func<Task<bool>> isSo, string problem, CancellationToken cancellationToken)
    {
        using var patience = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        patience.CancelAfter(_options.Patience);
        try
        {
            while (!await isSo())
            {
                await Task.Delay(Poll, patience.Token);
            }
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            _problems.Add($"After {_options.Patience} {problem}.");
        }
    }

    // A queue may be empty before the watcher has seen the last upload.
    private async Task<bool> IsQuietAsync(CancellationToken cancellationToken)
    {
        foreach (var queue in (QueueClient[])[_storage.Events, _storage.Batches, _storage.FailedEvents, _storage.FailedBatches])
        {
            if ((await queue.GetPropertiesAsync(cancellationToken)).Value.ApproximateMessagesCount > 0)
            {
                return false;
            }
        }

        foreach (var path in _uploads.Keys.Select(key => key.Path).Distinct())
        {
            if (await _jobs.TryReadAsync(JobStore.IdOf(path, await NewestAsync(path, cancellationToken)), cancellationToken) is not { IsFinal: true })
            {
                return false;
            }
        }

        return true;
    }

    // Also those of sets, and of uploads that nobody here knows of.
    private async Task<ILookup<JobState, JobStatus>> CheckJobsAsync(CancellationToken cancellationToken)
    {
        var statuses = new List<JobStatus>();
        await foreach (var blob in new BlobShardStore(_storage.Work).ListAsync("jobs/", cancellationToken))
        {
            if (blob.Name.Split('/') is [_, var job, "status.json"])
            {
                statuses.Add((await _jobs.TryReadAsync(job, cancellationToken))!);
            }
        }

        _problems.AddRange(statuses.Where(status => status.State is not (JobState.Committed or JobState.Superseded))
            .Select(status => $"The job {status.Job} of {status.Path} ({status.ETag}) is {status.State}: {status.Error?.Message}"));
        return statuses.ToLookup(status => status.State);
    }

    private async Task CheckManifestsAsync(CancellationToken cancellationToken)
    {
        foreach (var name in _uploads.Values.GroupBy(upload => upload.Name))
        {
            var expected = new Dictionary<int, Digest>();
            foreach (var seed in name.Select(upload => upload.Seed).Distinct())
            {
                expected[seed] = await QuietDigestAsync([.. name.Where(upload => upload.Seed == seed)], cancellationToken);
            }

            await foreach (var blob in new BlobShardStore(_storage.Shards).ListAsync($"checkpoints/{name.Key}/manifests/", cancellationToken))
            {
                if (!expected.Values.Any(digest => StoreLayout.Manifest(name.Key, digest) == blob.Name))
                {
                    _problems.Add($"{blob.Name} is none that a quiet run writes.");
                }
            }

            var path = name.First().Path;
            var newest = expected[_uploads[(path, await NewestAsync(path, cancellationToken))].Seed];
            if (await TagAsync(name.Key, cancellationToken) is var tag && tag?.Digest != newest)
            {
                _problems.Add($"`{name.Key}:latest` is {tag?.Digest.ToString() ?? "missing"}, not the newest upload's.");
            }
        }
    }

    private async Task<string> NewestAsync(string path, CancellationToken cancellationToken) =>
        (await _storage.Uploads.GetBlobClient(path).GetPropertiesAsync(cancellationToken: cancellationToken)).Value.ETag.ToString().Trim('"');

    private Task<ShardTag?> TagAsync(string name, CancellationToken cancellationToken) =>
        new CheckpointTags(new BlobShardStore(_storage.Shards)).TryReadAsync(CheckpointReference.Parse(name), cancellationToken);

    // Other containers of the same account, where nothing happens but this.
    private async Task<Digest> QuietDigestAsync(IReadOnlyList<ChaosUpload> files, CancellationToken cancellationToken)
    {
        var name = $"quiet{Guid.NewGuid():N}";
        var uploads = _blobs.GetBlobContainerClient($"{name}-u");
        var (shards, work) = (_blobs.GetBlobContainerClient($"{name}-s"), _blobs.GetBlobContainerClient($"{name}-w"));
        foreach (var container in (BlobContainerClient[])[uploads, shards, work])
        {
            await container.CreateAsync(cancellationToken: cancellationToken);
        }

        JobStatus status = null!;
        foreach (var file in files.DistinctBy(file => file.Path))
        {
            var blob = uploads.GetBlobClient(file.Path);
            var written = (await blob.UploadAsync(await file.ContentAsync(cancellationToken), cancellationToken)).Value;
            var message = UploadEvent.Create(blob.Uri, uploads.Name, file.Path, written.ETag, written.LastModified);
            status = await Pipeline(uploads, shards, work).UploadedAsync(message, cancellationToken);
        }

        return CheckpointReference.Parse(status.Reference!).Digest!.Value;
    }

    private CheckpointPipeline Pipeline(BlobContainerClient uploads, BlobContainerClient shards, BlobContainerClient work) => new(
        uploads,
        new BlobShardStore(shards),
        new BlobShardStore(work),
        null,
        null,
        new() { MaxPackedBytes = _options.PackedBytes },
        TimeProvider.System,
        NullLogger<CheckpointPipeline>.Instance);
}
