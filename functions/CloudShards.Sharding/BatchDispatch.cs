using System.Collections.Immutable;
using Azure;
using Azure.Storage.Queues;
using CloudShards.Formats;
using Microsoft.Extensions.Logging;

namespace CloudShards.Sharding;

/// <summary>
/// Shards a large checkpoint by many workers. There is no coordinator: whoever finds all receipts in place publishes the checkpoint. A worker lists them
/// after it wrote its own, so the last one to write sees all; where two see all, both publish the same, and the store takes it once.
/// </summary>
/// <param name="queue">The queue of batches.</param>
/// <param name="plans">The plans and receipts.</param>
/// <param name="batches">Writes and publishes.</param>
/// <param name="runs">The jobs' statuses.</param>
/// <param name="clock">The clock by which receipts age.</param>
/// <param name="log">Is told of batches.</param>
internal sealed class BatchDispatch(QueueClient queue, PlanStore plans, CheckpointBatches batches, JobRuns runs, TimeProvider clock, ILogger log)
{
    private const int MaxConcurrency = 8;
    private const int ManyTensors = 20_000;

    // Messages are kept until they are worked off: a job that lost one would wait for ever.
    private static readonly TimeSpan Forever = TimeSpan.FromSeconds(-1);

    // A collector may take shards that a manifest names later than a day after they were found (FORMAT.md). A batch itself takes minutes.
    private static readonly TimeSpan ReceiptLifetime = ShardWriter.RenewAfter / 2;

    // Those that would age while the others are checked are checked with them.
    private static readonly TimeSpan RecheckAfter = ReceiptLifetime / 2;

    /// <summary>Writes a plan down and hands its batches to the queue. Repeated, it hands over those that are not done.</summary>
    public async Task<JobStatus> SendAsync(PlannedCheckpoint planned, CheckpointDescription description, CancellationToken cancellationToken)
    {
        // A worker with other options may have planned the job before: its bounds stand, and by them all documents are the same.
        var plan = await batches.InTurnAsync(token => plans.CreateAsync(planned.Plan, token), cancellationToken).ConfigureAwait(false);
        if (plan.Bounds != planned.Plan.Bounds)
        {
            planned = ShardPlanner.Plan(plan.Job, plan.Name, plan.Files, description, plan.Bounds);
        }

        await batches.InTurnAsync(token => plans.CreateDetailsAsync(planned, token), cancellationToken).ConfigureAwait(false);
        var receipts = await ListReceiptsAsync(plan, cancellationToken).ConfigureAwait(false);
        var missing = Enumerable.Range(0, plan.Batches.Length).Where(number => !receipts.ContainsKey(number)).ToList();

        // Where all are done but the job is not, the worker that was to publish it is gone; any of its batches leads another one there.
        await SendAsync(plan.Job, missing is [] ? [0] : missing, cancellationToken).ConfigureAwait(false);
        Log.Dispatched(log, plan.Files[0].Path, plan.Job, plan.Batches.Length);
        return await runs.UpdateAsync(
            plan.Job,
            present => Apply(plan, receipts.Keys, present) with { DispatchedAt = clock.GetUtcNow(), ClaimedUntil = null, WaitsFor = null, WaitsForCount = null, SettlesAt = null },
            cancellationToken).ConfigureAwait(false);
    }

    /// <summary>Writes a batch and its receipt, and publishes the checkpoint where that was the last.</summary>
    public async Task<JobStatus> WriteAsync(JobStatus status, int number, CancellationToken cancellationToken)
    {
        var plan = await ReadPlanAsync(status.Job, cancellationToken).ConfigureAwait(false);
        var receipts = await ListReceiptsAsync(plan, cancellationToken).ConfigureAwait(false);
        if (!IsFresh(receipts, number))
        {
            await WriteAsync(plan, number, receipts.Keys, cancellationToken).ConfigureAwait(false);
            receipts = await ListReceiptsAsync(plan, cancellationToken).ConfigureAwait(false);
        }

        if (receipts.Count < plan.Batches.Length)
        {
            return await runs.ReportAsync(plan.Job, present => Apply(plan, receipts.Keys, present), cancellationToken).ConfigureAwait(false) ?? status;
        }

        return receipts.Keys.All(batch => IsFresh(receipts, batch))
            ? await PublishAsync(plan, cancellationToken).ConfigureAwait(false)
            : await RecheckAsync(plan, number, receipts, cancellationToken).ConfigureAwait(false);
    }

    /// <summary>
    /// Whether a batch that was tried too often was done by others all the same, and batches are left that lead on; where all are done, it may have failed of
    /// what comes after.
    /// </summary>
    public async Task<bool> IsDoneByOthersAsync(JobStatus status, int number, CancellationToken cancellationToken)
    {
        var plan = await ReadPlanAsync(status.Job, cancellationToken).ConfigureAwait(false);
        var receipts = await ListReceiptsAsync(plan, cancellationToken).ConfigureAwait(false);
        return receipts.Count < plan.Batches.Length && IsFresh(receipts, number);
    }

    /// <summary>Puts a batch back on the queue whose job a worker has for itself: by the time it comes, that one is done with it, or dead.</summary>
    public Task ReturnAsync(string job, int number, CancellationToken cancellationToken) => SendAsync(job, number, JobRuns.ClaimLifetime, cancellationToken);

    /// <summary>Lets the jobs of a set's files say what its own job says.</summary>
    public async Task MirrorAsync(JobStatus set, CancellationToken cancellationToken)
    {
        var plan = await ReadPlanAsync(set.Job, cancellationToken).ConfigureAwait(false);
        await runs.MirrorAsync(set, plan.Files.Select(file => (file.Path, file.ETag)), cancellationToken).ConfigureAwait(false);
    }

    /// <summary>Collects what work on many tensors has left behind: the collector sees the machine's free memory, and would let a hundred megabytes lie.</summary>
    public static async Task GiveMemoryBackAsync(long tensors)
    {
        if (tensors > ManyTensors)
        {
            // What has just ended still stands below on the stack, and holds on to what it had.
            await Task.CompletedTask.ConfigureAwait(ConfigureAwaitOptions.ForceYielding);
            GC.Collect(GC.MaxGeneration, GCCollectionMode.Aggressive, blocking: true, compacting: true);
        }
    }

    // Of a batch that was written before only what is gone is written again, and its file is read for nothing else.
    private async Task WriteAsync(ShardPlan plan, int number, IReadOnlyCollection<int> done, CancellationToken cancellationToken)
    {
        var batch = await batches.InTurnAsync(token => plans.ReadBatchAsync(plan.Job, number, token), cancellationToken).ConfigureAwait(false);
        var receipt = done.Contains(number)
            ? await batches.InTurnAsync(token => plans.ReadReceiptAsync(plan.Job, number, token), cancellationToken).ConfigureAwait(false)
            : null;
        if (receipt is null)
        {
            receipt = await WriteAsync(plan, batch, done, cancellationToken).ConfigureAwait(false);
            Log.BatchDone(log, plan.Job, number, plan.Batches[number].Shards, plan.Batches[number].Bytes);
        }
        else if (await batches.FindMissingAsync(batch, receipt, cancellationToken).ConfigureAwait(false) is { Shards: not [] } missing)
        {
            var again = await WriteAsync(plan, missing, done, cancellationToken).ConfigureAwait(false);
            if (again.Shards.Select(shard => shard.Digest).Except(receipt.Shards.Select(shard => shard.Digest)).Any())
            {
                throw Errors.ReceiptOutdated(plan.Job, number);
            }
        }

        await batches.InTurnAsync(token => plans.WriteReceiptAsync(plan.Job, receipt, token), cancellationToken).ConfigureAwait(false);
    }

    private async Task<ShardReceipt> WriteAsync(ShardPlan plan, ShardBatch batch, IReadOnlyCollection<int> done, CancellationToken cancellationToken)
    {
        var sources = await OpenAsync(plan, file => batch.Shards.Any(shard => shard.File == file), cancellationToken).ConfigureAwait(false);
        var written = new JobStatusProgress(plan.Name, plan.ShardCount, plan.Bytes);
        return await runs.ReportWhileAsync(
            plan.Job, batches.WriteAsync(plan.Job, batch, sources, written, cancellationToken), present => Apply(plan, done, present, written), cancellationToken)
            .ConfigureAwait(false);
    }

    // One worker puts the batches on the queue again, and no batch twice: each message leads to a fresh receipt, or to the job's end.
    private async Task<JobStatus> RecheckAsync(
        ShardPlan plan, int number, Dictionary<int, DateTimeOffset> receipts, CancellationToken cancellationToken)
    {
        var before = clock.GetUtcNow() - RecheckAfter;
        var (isDue, isBusy) = (false, false);
        var status = await runs.UpdateAsync(
            plan.Job,
            present =>
            {
                isDue = receipts.Any(receipt => !IsFresh(receipts, receipt.Key) && !(receipt.Value < present.RecheckedBefore));
                isBusy = runs.IsClaimed(present);
                return isDue && !isBusy ? runs.Claim(present) : present;
            },
            cancellationToken).ConfigureAwait(false);
        if (status.IsFinal || !isDue)
        {
            return status;
        }

        if (isBusy)
        {
            await ReturnAsync(plan.Job, number, cancellationToken).ConfigureAwait(false);
            return status;
        }

        List<int> old = [.. receipts.Where(receipt => receipt.Value < before && !(receipt.Value < status.RecheckedBefore)).Select(receipt => receipt.Key)];
        await SendAsync(plan.Job, old, cancellationToken).ConfigureAwait(false);
        Log.Rechecked(log, plan.Job, old.Count);
        return await runs.UpdateAsync(plan.Job, present => present with { RecheckedBefore = before, ClaimedUntil = null }, cancellationToken).ConfigureAwait(false);
    }

    private async Task<JobStatus> PublishAsync(ShardPlan plan, CancellationToken cancellationToken)
    {
        await runs.HoldAsync(plan.Job, cancellationToken).ConfigureAwait(false);
        return await runs.ReportWhileAsync(plan.Job, PublishHeldAsync(plan, cancellationToken), runs.Claim, cancellationToken).ConfigureAwait(false);
    }

    private async Task<JobStatus> PublishHeldAsync(ShardPlan plan, CancellationToken cancellationToken)
    {
        batches.ReleaseBuffers();
        await GiveMemoryBackAsync(plan.TensorCount).ConfigureAwait(false);
        var (manifest, created) = await ComposeAsync(plan, cancellationToken).ConfigureAwait(false);
        await GiveMemoryBackAsync(plan.TensorCount).ConfigureAwait(false);
        var files = await OpenAsync(plan, _ => true, cancellationToken).ConfigureAwait(false);
        return await batches.PublishAsync(plan, manifest, created, files, cancellationToken).ConfigureAwait(false);
    }

    private async Task<(ShardManifest Manifest, int Created)> ComposeAsync(ShardPlan plan, CancellationToken cancellationToken)
    {
        var receipts = await batches.InTurnAsync(token => plans.ReadReceiptsAsync(plan, token), cancellationToken).ConfigureAwait(false);
        var composition = new ManifestComposition(plan, receipts);
        var created = receipts.Sum(receipt => receipt.Created);
        await GiveMemoryBackAsync(plan.TensorCount).ConfigureAwait(false);
        for (var page = 0; page < PlanStore.PageCount(plan); page++)
        {
            composition.Add((await batches.InTurnAsync(token => plans.ReadPageAsync(plan.Job, page, token), cancellationToken).ConfigureAwait(false)).Tensors);
        }

        var (metadata, values) = await batches.InTurnAsync(token => plans.ReadMetadataAsync(plan.Job, token), cancellationToken).ConfigureAwait(false);
        return (composition.Finish(metadata, values), created);
    }

    private Task SendAsync(string job, IEnumerable<int> numbers, CancellationToken cancellationToken) => Parallel.ForEachAsync(
        numbers,
        new ParallelOptions { MaxDegreeOfParallelism = MaxConcurrency, CancellationToken = cancellationToken },
        async (number, token) => await SendAsync(job, number, TimeSpan.Zero, token).ConfigureAwait(false));

    private async Task SendAsync(string job, int number, TimeSpan delay, CancellationToken cancellationToken) => await queue.SendMessageAsync(
        Convert.ToBase64String(new BatchMessage(job, number).ToBinaryData()), delay, Forever, cancellationToken).ConfigureAwait(false);

    private Task<ShardPlan> ReadPlanAsync(string job, CancellationToken cancellationToken) =>
        batches.InTurnAsync(token => plans.ReadAsync(job, token), cancellationToken);

    private Task<Dictionary<int, DateTimeOffset>> ListReceiptsAsync(ShardPlan plan, CancellationToken cancellationToken) =>
        batches.InTurnAsync(token => plans.ListReceiptsAsync(plan.Job, token), cancellationToken);

    // Files that are not wanted stay null: a batch reads from few of a set.
    private async Task<ImmutableArray<ICheckpointSource>> OpenAsync(ShardPlan plan, Func<int, bool> isWanted, CancellationToken cancellationToken)
    {
        var sources = new ICheckpointSource[plan.Files.Length];
        var parallel = new ParallelOptions { MaxDegreeOfParallelism = MaxConcurrency, CancellationToken = cancellationToken };
        await Parallel.ForEachAsync(Enumerable.Range(0, sources.Length).Where(isWanted), parallel, async (file, token) =>
            sources[file] = await batches.OpenAsync(plan.Files[file].Path, new ETag(plan.Files[file].ETag), token).ConfigureAwait(false)).ConfigureAwait(false);
        return [.. sources];
    }

    private bool IsFresh(Dictionary<int, DateTimeOffset> receipts, int number) =>
        receipts.TryGetValue(number, out var writtenAt) && writtenAt >= clock.GetUtcNow() - ReceiptLifetime;

    // Workers look at different times and tell in any order: what is done does not become less. What others are in the middle of is told by them.
    private static JobStatus Apply(ShardPlan plan, IReadOnlyCollection<int> done, JobStatus status, JobStatusProgress? underWay = null) => status with
    {
        Name = plan.Name,
        Shards = new(Math.Max(status.Shards.Done, done.Sum(number => plan.Batches[number].Shards) + (underWay?.Shards ?? 0)), plan.ShardCount),
        Bytes = new(Math.Max(status.Bytes.Done, done.Sum(number => plan.Batches[number].Bytes) + (underWay?.Bytes ?? 0)), plan.Bytes),
    };
}
