using System.Collections.Immutable;
using Azure.Storage.Blobs;
using CloudShards.Formats;
using static TorchSharp.torch;

namespace CloudShards;

/// <summary>Loads TorchSharp modules from sharded checkpoints, and saves them as such.</summary>
public static class ModuleExtensions
{
    // Small tensors wait for the service more than for anything else.
    private const int MaxWrites = 8;

    /// <summary>
    /// Reads a checkpoint into a module's parameters and persistent buffers, in place: each is written where it is, by verified ranged
    /// reads that run side by side. Beside the module it takes no memory but that of the requests, and at most 64 MiB (or one chunk, where
    /// that is more) for tensors on other devices and for those that are not contiguous, which are copied to their places while others are
    /// read. Parameters that share their memory are read once, and are there if the checkpoint has one of their names.
    /// </summary>
    /// <param name="module">The module. It must be neither used nor disposed of until the task has ended.</param>
    /// <param name="checkpoint">The checkpoint. By default it has the very tensors of the module.</param>
    /// <param name="options">What may differ, and which of the checkpoint's tensors are meant.</param>
    /// <param name="progress">Is told of what has arrived; no read waits for it.</param>
    /// <param name="cancellationToken">Ends the reads.</param>
    /// <returns>What was left alone; nothing, unless the options allow it.</returns>
    /// <exception cref="StateDictMismatchException">
    /// Names, dtypes or shapes differ (nothing is ever converted or broadcast), or a tensor of the module cannot be written. Nothing has
    /// been changed.
    /// </exception>
    /// <remarks>A load that fails later, or is cancelled, leaves some parameters loaded and others not; load again.</remarks>
    public static async Task<ModuleLoadResult> LoadShardsAsync(
        this nn.Module module,
        ShardedCheckpoint checkpoint,
        ModuleLoadOptions? options = null,
        IProgress<ShardProgress>? progress = null,
        CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(module);
        ArgumentNullException.ThrowIfNull(checkpoint);
        var plan = PlanOf(module, checkpoint, options ?? new());
        await LoadAsync(plan.Tensors, checkpoint, progress, cancellationToken).ConfigureAwait(false);
        GC.KeepAlive(module);
        return new(plan.Missing, plan.Unexpected);
    }

    /// <summary>
    /// Moves a module to another version of its checkpoint. Only tensors whose digests differ from those of the version that
    /// <paramref name="current"/> was loaded from are read; the others are copied from it in memory. So a service can make the next module
    /// while the current one answers, and then exchange them. Where both are one module, it is changed in place, and must not be used
    /// meanwhile.
    /// </summary>
    /// <param name="module">The module to load. It must be neither used nor disposed of until the task has ended.</param>
    /// <param name="checkpoint">The version that it is to have.</param>
    /// <param name="current">The module that was loaded before, and has not been changed since; it may be in use.</param>
    /// <param name="loaded">The manifest of the version that <paramref name="current"/> has.</param>
    /// <param name="options">What may differ, and which of the checkpoint's tensors are meant; as when <paramref name="current"/> was loaded.</param>
    /// <param name="progress">Is told of what has arrived; no read waits for it.</param>
    /// <param name="cancellationToken">Ends the reads.</param>
    /// <returns>What was read and what was kept.</returns>
    /// <exception cref="StateDictMismatchException">Names, dtypes or shapes differ. Nothing has been changed.</exception>
    /// <remarks>One that fails later, or is cancelled, leaves some tensors of <paramref name="module"/> loaded and others not.</remarks>
    public static async Task<ModuleRefreshResult> RefreshShardsAsync(
        this nn.Module module,
        ShardedCheckpoint checkpoint,
        nn.Module current,
        ShardManifest loaded,
        ModuleLoadOptions? options = null,
        IProgress<ShardProgress>? progress = null,
        CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(module);
        ArgumentNullException.ThrowIfNull(checkpoint);
        ArgumentNullException.ThrowIfNull(current);
        ArgumentNullException.ThrowIfNull(loaded);
        var plan = RefreshPlan.Create(PlanOf(module, checkpoint, options ?? new()).Tensors, current.state_dict(), loaded);
        await LoadAsync(plan.Changed, checkpoint, progress, cancellationToken).ConfigureAwait(false);
        plan.CopyKept();
        GC.KeepAlive(module);
        GC.KeepAlive(current);
        return new(plan.Changed.Length, plan.Changed.Sum(tensor => tensor.Source.Bytes), plan.Kept.Length);
    }

    /// <summary>
    /// Saves a module's parameters and persistent buffers as a checkpoint: a shard for each, then the manifest, then the tag, so that
    /// nobody sees any of it before it is complete. Shards that the container has already, from this or any other checkpoint, are not
    /// written again; parameters that share their memory share their shard.
    /// </summary>
    /// <param name="module">The module. It must be neither changed nor disposed of until the task has ended.</param>
    /// <param name="container">The container of the shards; writing needs the role Storage Blob Data Contributor on it.</param>
    /// <param name="name">The checkpoint's name.</param>
    /// <param name="tag">The tag that is to name it.</param>
    /// <param name="options">How it is written, and what to keep beside the tensors.</param>
    /// <param name="cancellationToken">Ends the writing. Shards that were written stay, and are not written again.</param>
    /// <returns>The reference to the checkpoint by its digest.</returns>
    /// <exception cref="FormatException"><paramref name="name"/> or <paramref name="tag"/> is not one.</exception>
    /// <exception cref="NotSupportedException">A tensor is sparse, quantised or on the meta device. Nothing was written.</exception>
    public static Task<CheckpointReference> SaveShardsAsync(
        this nn.Module module,
        BlobContainerClient container,
        string name,
        string tag = ShardTag.Latest,
        CheckpointWriterOptions? options = null,
        CancellationToken cancellationToken = default) =>
        module.SaveShardsToAsync(new BlobShardStore(container), name, tag, options, cancellationToken);

    /// <summary>Saves a module's parameters and persistent buffers as a checkpoint in any store.</summary>
    /// <inheritdoc cref="SaveShardsAsync"/>
    public static async Task<CheckpointReference> SaveShardsToAsync(
        this nn.Module module,
        IShardStore store,
        string name,
        string tag = ShardTag.Latest,
        CheckpointWriterOptions? options = null,
        CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(module);
        var writer = new CheckpointWriter(store, name, options);
        // A bad tag is refused before hours of writing, not after.
        CheckpointReference.ForTag(name, tag);
        // A write takes its place in the manifest when it is enumerated; that is done in order, so the manifest has the order of the module.
        var writes = SavedTensor.AllOf(module.state_dict()).Select(tensor => tensor.WriteAsync(writer, cancellationToken));
        var parallel = new ParallelOptions { MaxDegreeOfParallelism = MaxWrites, CancellationToken = cancellationToken };
        await Parallel.ForEachAsync(writes, parallel, static (write, _) => new(write)).ConfigureAwait(false);
        GC.KeepAlive(module);
        return await writer.PublishAsync(tag, cancellationToken).ConfigureAwait(false);
    }

    private static LoadPlan PlanOf(nn.Module module, ShardedCheckpoint checkpoint, ModuleLoadOptions options)
    {
        var plan = LoadPlan.Create(module.state_dict(), checkpoint.Tensors, options.Prefix);
        var missing = options.AllowMissing ? [] : plan.Missing;
        var unexpected = options.AllowUnexpected ? [] : plan.Unexpected;
        return missing.IsEmpty && unexpected.IsEmpty && plan.Mismatched.IsEmpty
            ? plan
            : throw Errors.StateDictMismatch(checkpoint.Reference.ToString(), missing, unexpected, plan.Mismatched);
    }

    private static Task LoadAsync(
        ImmutableArray<PlannedTensor> tensors, ShardedCheckpoint checkpoint, IProgress<ShardProgress>? progress, CancellationToken cancellationToken) =>
        checkpoint.ReadIntoAsync([.. tensors.Select(TargetOf)], progress, cancellationToken);

    private static ShardTarget TargetOf(PlannedTensor tensor) => TensorMemory.IsShardLike(tensor.Target)
        ? new InPlaceTarget(tensor.Source, tensor.Target)
        : new StagedTarget(tensor.Source, tensor.Target);
}
