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

    /// <summary>Writes a plan down and hands its batches to the queue. Repeated, it hands over those that are not done.</summary>
    public async Task<JobStatus> SendAsync(PlannedCheckpoint planned, CheckpointDescription description, CancellationToken cancellationToken)
    {
        // A worker with other options may have planned the job before: its bounds stand, and by them all documents are the same.
        var plan = await plans.CreateAsync(planned.Plan, cancellationToken).ConfigureAwait(false);
        if (plan.Bounds != planned.Plan.Bounds)
        {
            planned = ShardPlanner.Plan(plan.Job, plan.Name, plan.Files, description, plan.Bounds);
        }

        await plans.CreateDetailsAsync(planned, cancellationToken).ConfigureAwait(false);
        var receipts = await plans.ListReceiptsAsync(plan.Job, cancellationToken).ConfigureAwait(false);
        var missing = Enumerable.Range(0, plan.Batches.Length).Where(number => !receipts.ContainsKey(number)).ToList();

        // Where all are done but the job is not, the worker that was to publish it is gone; any of its batches leads another one there.
        await SendAsync(plan.Job, missing is [] ? [0] : missing, cancellationToken).ConfigureAwait(false);
        Log.Dispatched(log, plan.Files[0].Path, plan.Job, plan.Batches.Length);
        return await runs.UpdateAsync(
            plan.Job, present => Apply(plan, receipts.Keys, present) with { DispatchedAt = clock.GetUtcNow() }, cancellationToken).ConfigureAwait(false);
    }

    /// <summary>Writes a batch and its receipt, and publishes the checkpoint where that was the last.</summary>
    public async Task<JobStatus> WriteAsync(JobStatus status, int number, CancellationToken cancellationToken)
    {
        var plan = await plans.ReadAsync(status.Job, cancellationToken).ConfigureAwait(false);
        var receipts = await plans.ListReceiptsAsync(plan.Job, cancellationToken).ConfigureAwait(false);
        if (!IsFresh(receipts, number))
        {
            var batch = await plans.ReadBatchAsync(plan.Job, number, cancellationToken).ConfigureAwait(false);
            var sources = await OpenAsync(plan, file => batch.Shards.Any(shard => shard.File == file), cancellationToken).ConfigureAwait(false);
            var receipt = await batches.WriteAsync(batch, sources, null, cancellationToken).ConfigureAwait(false);
            await plans.WriteReceiptAsync(plan.Job, receipt, cancellationToken).ConfigureAwait(false);
            Log.BatchDone(log, plan.Job, number, plan.Batches[number].Shards, plan.Batches[number].Bytes);
            receipts = await plans.ListReceiptsAsync(plan.Job, cancellationToken).ConfigureAwait(false);
        }

        if (receipts.Count < plan.Batches.Length)
        {
            return await runs.ReportAsync(plan.Job, present => Apply(plan, receipts.Keys, present), cancellationToken).ConfigureAwait(false) ?? status;
        }

        List<int> stale = [.. receipts.Keys.Where(batch => !IsFresh(receipts, batch))];
        if (stale is not [])
        {
            await SendAsync(plan.Job, stale, cancellationToken).ConfigureAwait(false);
            return status;
        }

        return await PublishAsync(plan, cancellationToken).ConfigureAwait(false);
    }

    /// <summary>Lets the jobs of a set's files say what its own job says.</summary>
    public async Task MirrorAsync(JobStatus status, CancellationToken cancellationToken)
    {
        var plan = await plans.ReadAsync(status.Job, cancellationToken).ConfigureAwait(false);
        if (plan.Files.Any(file => file.IsIndex))
        {
            await runs.MirrorAsync(status, plan.Files.Select(file => (file.Path, file.ETag)), cancellationToken).ConfigureAwait(false);
        }
    }

    private async Task<JobStatus> PublishAsync(ShardPlan plan, CancellationToken cancellationToken)
    {
        var files = await OpenAsync(plan, _ => true, cancellationToken).ConfigureAwait(false);
        var tensors = await plans.ReadTensorsAsync(plan, cancellationToken).ConfigureAwait(false);
        var receipts = await plans.ReadReceiptsAsync(plan, cancellationToken).ConfigureAwait(false);
        batches.ReleaseBuffers();
        await GiveMemoryBackAsync(plan.TensorCount).ConfigureAwait(false);
        return await batches.PublishAsync(plan, tensors, receipts, files, cancellationToken).ConfigureAwait(false);
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

    private Task SendAsync(string job, IEnumerable<int> numbers, CancellationToken cancellationToken) => Parallel.ForEachAsync(
        numbers,
        new ParallelOptions { MaxDegreeOfParallelism = MaxConcurrency, CancellationToken = cancellationToken },
        async (number, token) => await queue.SendMessageAsync(
            Convert.ToBase64String(new BatchMessage(job, number).ToBinaryData()), timeToLive: Forever, cancellationToken: token).ConfigureAwait(false));

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

    // Workers look at different times and tell in any order: what is done does not become less.
    private static JobStatus Apply(ShardPlan plan, IReadOnlyCollection<int> done, JobStatus status) => status with
    {
        Name = plan.Name,
        Shards = new(Math.Max(status.Shards.Done, done.Sum(number => plan.Batches[number].Shards)), plan.ShardCount),
        Bytes = new(Math.Max(status.Bytes.Done, done.Sum(number => plan.Batches[number].Bytes)), plan.Bytes),
    };
}
