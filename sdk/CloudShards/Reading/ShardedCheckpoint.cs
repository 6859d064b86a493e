using System.Collections.Immutable;
using System.Diagnostics.CodeAnalysis;
using Azure;
using Azure.Storage.Blobs;
using Azure.Storage.Blobs.Models;
using CloudShards.Formats;

namespace CloudShards;

/// <summary>
/// A checkpoint in a shard store, open for reading. Its tensors' names, dtypes and shapes are at hand; their bytes are read when asked for,
/// straight into the caller's memory. All members may be called at once from several threads.
/// </summary>
public sealed class ShardedCheckpoint : IAsyncDisposable
{
    private readonly Dictionary<string, ShardedTensor> _tensors;
    private readonly RangeScheduler _scheduler;
    private readonly RunningReads _running = new();
    private readonly ReadTelemetry _telemetry;
    private readonly TimeProvider _time;

    private ShardedCheckpoint(IShardStore store, CheckpointReference reference, ShardManifest manifest, ShardedCheckpointOptions options)
    {
        Reference = reference;
        Manifest = manifest;
        _tensors = manifest.Tensors.ToDictionary(tensor => tensor.Name, StringComparer.Ordinal);
        _telemetry = new(reference.Name, options.Logger);
        _scheduler = new(store, manifest, options, _telemetry);
        _time = options.TimeProvider;
    }

    /// <summary>The checkpoint's name and its manifest's digest: what this object reads, whatever becomes of tags.</summary>
    public CheckpointReference Reference { get; }

    /// <summary>The manifest.</summary>
    public ShardManifest Manifest { get; }

    /// <summary>The tensors, in the checkpoint's order.</summary>
    public ImmutableArray<ShardedTensor> Tensors => Manifest.Tensors;

    /// <summary>The tensor with a name.</summary>
    /// <exception cref="KeyNotFoundException">There is none; the message names similar ones.</exception>
    public ShardedTensor this[string name] =>
        TryGetTensor(name, out var tensor) ? tensor : throw Errors.NoSuchTensor(name, Reference, _tensors.Keys);

    /// <summary>
    /// Bytes of the longest run of a tensor that one piece of memory can hold and that ends between chunks. A tensor above 2 GiB is read by
    /// one call of <see cref="ReadAllAsync"/>, in runs of this length that follow each other and a shorter last one; so every chunk is
    /// verified, and the tensor is cached and compared with its digest as others are.
    /// </summary>
    public int WindowBytes => int.MaxValue - (int.MaxValue % Manifest.ChunkBytes);

    /// <summary>Opens a checkpoint in a blob container: one small request for a reference by digest, two for one by tag.</summary>
    /// <param name="container">The container of the shards; reading needs the role Storage Blob Data Reader on it.</param>
    /// <param name="reference"><c>name</c> (its tag <c>latest</c>), <c>name:tag</c> or <c>name@sha256:…</c>.</param>
    /// <param name="options">How it is read.</param>
    /// <param name="cancellationToken">Ends the opening.</param>
    /// <exception cref="FormatException"><paramref name="reference"/> is not a reference.</exception>
    /// <exception cref="CheckpointNotFoundException">There is no such checkpoint, tag or container.</exception>
    /// <exception cref="ShardCorruptException">The manifest is not what its digest says.</exception>
    /// <exception cref="UnauthorizedAccessException">The service does not let this program read.</exception>
    /// <exception cref="CheckpointFormatException">The tag or the manifest is not in a format that this version reads.</exception>
    public static Task<ShardedCheckpoint> OpenAsync(
        BlobContainerClient container,
        string reference,
        ShardedCheckpointOptions? options = null,
        CancellationToken cancellationToken = default) =>
        OpenFromAsync(new BlobShardStore(container), reference, options, cancellationToken);

    /// <summary>Opens a checkpoint in any store.</summary>
    /// <param name="store">The store.</param>
    /// <param name="reference"><c>name</c> (its tag <c>latest</c>), <c>name:tag</c> or <c>name@sha256:…</c>.</param>
    /// <param name="options">How it is read.</param>
    /// <param name="cancellationToken">Ends the opening.</param>
    /// <inheritdoc cref="OpenAsync"/>
    public static async Task<ShardedCheckpoint> OpenFromAsync(
        IShardStore store, string reference, ShardedCheckpointOptions? options = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(store);
        options ??= new();
        var asked = CheckpointReference.Parse(reference);
        using var activity = new ReadTelemetry(asked.Name, options.Logger).Begin("Open");
        try
        {
            var digest = await DigestOfAsync(store, asked, cancellationToken).ConfigureAwait(false);
            var blob = StoreLayout.Manifest(asked.Name, digest);
            var document = await store.TryReadDocumentAsync(blob, options.Limits.MaxManifestBytes, cancellationToken).ConfigureAwait(false)
                ?? throw Errors.NoSuchManifest(asked, digest);
            if (Digest.Of(document.Content.Span) is var found && found != digest)
            {
                throw Errors.ManifestCorrupt(blob, digest, found);
            }

            var manifest = ShardManifest.Parse(document.Content.Span, options.Limits);
            return new(store, CheckpointReference.ForDigest(asked.Name, digest), manifest, options);
        }
        catch (RequestFailedException e) when (e.Status is 401 or 403)
        {
            throw Errors.NotAllowed($"`{asked}`", e);
        }
        catch (RequestFailedException e) when (e.ErrorCode == BlobErrorCode.ContainerNotFound)
        {
            throw Errors.NoSuchContainer(asked, store, e);
        }
    }

    /// <summary>
    /// The manifest that a reference names now, by its digest: one small request for a tag, none for a digest. Where it is another than
    /// <see cref="Reference"/>, the tag has moved.
    /// </summary>
    /// <param name="store">The store.</param>
    /// <param name="reference"><c>name</c> (its tag <c>latest</c>), <c>name:tag</c> or <c>name@sha256:…</c>.</param>
    /// <param name="cancellationToken">Ends the request.</param>
    /// <exception cref="FormatException"><paramref name="reference"/> is not a reference.</exception>
    /// <exception cref="CheckpointNotFoundException">There is no such checkpoint, tag or container.</exception>
    /// <exception cref="UnauthorizedAccessException">The service does not let this program read.</exception>
    /// <exception cref="CheckpointFormatException">The tag is not in a format that this version reads.</exception>
    public static async Task<CheckpointReference> ResolveAsync(IShardStore store, string reference, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(store);
        var asked = CheckpointReference.Parse(reference);
        try
        {
            return CheckpointReference.ForDigest(asked.Name, await DigestOfAsync(store, asked, cancellationToken).ConfigureAwait(false));
        }
        catch (RequestFailedException e) when (e.Status is 401 or 403)
        {
            throw Errors.NotAllowed($"`{asked}`", e);
        }
        catch (RequestFailedException e) when (e.ErrorCode == BlobErrorCode.ContainerNotFound)
        {
            throw Errors.NoSuchContainer(asked, store, e);
        }
    }

    /// <summary>Finds the tensor with a name.</summary>
    public bool TryGetTensor(string name, [MaybeNullWhen(false)] out ShardedTensor tensor) => _tensors.TryGetValue(name, out tensor);

    /// <summary>Reads a tensor; a large one in several ranges at once.</summary>
    /// <param name="name">The tensor's name.</param>
    /// <param name="destination">
    /// Where its bytes go: contiguous, row-major, little-endian. It must have the tensor's length; read a tensor above 2 GiB in runs of
    /// <see cref="WindowBytes"/> by <see cref="ReadAllAsync"/>. After a failure its content is undefined.
    /// </param>
    /// <param name="cancellationToken">Ends the read.</param>
    /// <exception cref="KeyNotFoundException">There is no such tensor.</exception>
    /// <exception cref="ArgumentException"><paramref name="destination"/> has another length.</exception>
    /// <exception cref="ShardNotFoundException">The shard is gone.</exception>
    /// <exception cref="ShardCorruptException">The shard's bytes are not what its chunk sums say.</exception>
    /// <exception cref="UnauthorizedAccessException">The service does not let this program read.</exception>
    /// <exception cref="InvalidDataException">The server's answer is not what was asked for.</exception>
    /// <exception cref="ObjectDisposedException">The checkpoint was disposed.</exception>
    /// <exception cref="OperationCanceledException">The token was cancelled, or the checkpoint disposed meanwhile.</exception>
    public Task ReadAsync(string name, Memory<byte> destination, CancellationToken cancellationToken = default) =>
        ReadAllAsync([ShardRead.Whole(this[name], destination)], null, cancellationToken);

    /// <summary>
    /// Reads a part of a tensor. Runs of it that lie close together are read in one request, through a buffer where what lies between them
    /// is dropped; <see cref="Plan"/> tells how many requests and bytes that takes.
    /// </summary>
    /// <remarks>
    /// A chunk is verified where it arrives whole. So of a part, the chunks that a run of it covers whole (or that become whole by what is
    /// read between runs) are; of those at its edges only the lengths are checked, and a part that is smaller than a chunk is not verified
    /// at all. To have every byte verified, read the whole tensor, or a part that begins and ends on chunk borders
    /// (<see cref="ShardManifest.ChunkBytes"/>) or at the tensor's ends.
    /// </remarks>
    /// <param name="name">The tensor's name.</param>
    /// <param name="ranges">What to take of each dimension, as <see cref="TensorSlice.Of"/> has it.</param>
    /// <param name="destination">Where its bytes go, row-major and packed; <see cref="TensorSlice.Bytes"/> says how many.</param>
    /// <param name="cancellationToken">Ends the read.</param>
    /// <exception cref="ArgumentException">
    /// The ranges do not fit the tensor, or <paramref name="destination"/> has another length than the part.
    /// </exception>
    /// <inheritdoc cref="ReadAsync"/>
    public Task ReadSliceAsync(
        string name, ReadOnlySpan<Range> ranges, Memory<byte> destination, CancellationToken cancellationToken = default) =>
        ReadAllAsync([ShardRead.Whole(TensorSlice.Of(this[name], ranges), destination)], null, cancellationToken);

    /// <summary>What it would cost to read parts of tensors by one call of <see cref="ReadAllAsync"/>. Asks the store nothing.</summary>
    /// <param name="slices">The parts; <c>TensorSlice.Of(tensor, [])</c> is all of a tensor.</param>
    /// <exception cref="ArgumentException">A tensor is not of this checkpoint.</exception>
    public ReadPlan Plan(params IEnumerable<TensorSlice> slices)
    {
        ArgumentNullException.ThrowIfNull(slices);
        return _scheduler.Cost(slices.Select(slice =>
        {
            ThrowUnlessOwn(slice.Tensor, 0, 0);
            return slice;
        }));
    }

    /// <summary>
    /// Reads many runs of bytes, several at once. Small tensors that are read whole come many to a request where the checkpoint has packs. The
    /// first failure ends the others.
    /// </summary>
    /// <param name="reads">
    /// The runs, enumerated only as they are started, so that destinations may be made on the way; of small tensors some are gathered first, of each pack
    /// at most two requests' worth.
    /// </param>
    /// <param name="progress">
    /// Told of what has arrived, at the last of all of it. Calls do not overlap, and no read waits for them: what arrives during one is in the
    /// next.
    /// </param>
    /// <param name="cancellationToken">Ends the reads.</param>
    /// <exception cref="ArgumentException">A run does not lie in its tensor, or its tensor is not of this checkpoint.</exception>
    /// <inheritdoc cref="ReadAsync"/>
    public Task ReadAllAsync(
        IEnumerable<ShardRead> reads, IProgress<ShardProgress>? progress = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(reads);
        var known = reads as IReadOnlyCollection<ShardRead>;
        var sum = progress is null ? null : new ProgressSum(progress, known?.Sum(read => read.Length), known?.Count, _time);
        return RunAsync(reads, sum, cancellationToken);
    }

    /// <summary>Reads whole tensors to where they cannot be read in one piece, several at once. The first failure ends the others.</summary>
    /// <param name="targets">Where they go.</param>
    /// <param name="progress">As for <see cref="ReadAllAsync"/>.</param>
    /// <param name="cancellationToken">Ends the reads.</param>
    /// <exception cref="ArgumentException">A tensor is not of this checkpoint.</exception>
    /// <exception cref="NotSupportedException">A target is staged, and the chunks of its tensor are too long to be cut between elements.</exception>
    /// <inheritdoc cref="ReadAsync"/>
    public Task ReadIntoAsync(
        IReadOnlyCollection<ShardTarget> targets, IProgress<ShardProgress>? progress = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(targets);
        var sum = progress is null ? null : new ProgressSum(progress, targets.Sum(target => target.Tensor.Bytes), targets.Count, _time);
        return RunAsync(targets.Select(ShardRead.Into), sum, cancellationToken);
    }

    /// <summary>
    /// Reads a whole tensor, for callers whose own interface is synchronous: the caller's thread reads, and blocks; so do others beside it
    /// where the tensor is more than one request.
    /// </summary>
    /// <param name="target">Where it goes.</param>
    /// <param name="cancellationToken">Ends the read.</param>
    /// <inheritdoc cref="ReadIntoAsync"/>
    public void ReadInto(ShardTarget target, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(target);
        ThrowUnlessOwn(target.Tensor, 0, 0);
        using var lease = _running.Begin(this, cancellationToken);
        using var activity = _telemetry.Begin("Read");
        _scheduler.Run(target, lease.Token);
    }

    /// <summary>Reads a run of a tensor's bytes on the caller's thread, for callers whose own interface is synchronous.</summary>
    /// <param name="tensor">The tensor, one of this checkpoint's own.</param>
    /// <param name="offset">The first byte.</param>
    /// <param name="destination">Where the bytes go; its length is how many are read.</param>
    /// <param name="cancellationToken">Ends the read.</param>
    /// <inheritdoc cref="ReadAllAsync"/>
    public void Read(ShardedTensor tensor, long offset, Span<byte> destination, CancellationToken cancellationToken = default)
    {
        ThrowUnlessOwn(tensor, offset, destination.Length);
        using var lease = _running.Begin(this, cancellationToken);
        _scheduler.Run(tensor, offset, destination, lease.Token);
    }

    /// <summary>Cancels the reads that are running and returns once none of them touches its destination any more.</summary>
    public ValueTask DisposeAsync() => _running.DisposeAsync();

    private static async ValueTask<Digest> DigestOfAsync(IShardStore store, CheckpointReference asked, CancellationToken cancellationToken)
    {
        if (asked.Digest is { } digest)
        {
            return digest;
        }

        var tag = await CheckpointTags.TryReadAsync(store, asked, cancellationToken).ConfigureAwait(false) ?? throw Errors.NoSuchTag(asked);
        return tag.Tag.Digest;
    }

    private async Task RunAsync(IEnumerable<ShardRead> reads, ProgressSum? sum, CancellationToken cancellationToken)
    {
        using var lease = _running.Begin(this, cancellationToken);
        using var activity = _telemetry.Begin("Read");
        try
        {
            await _scheduler.RunAsync(reads.Select(Checked), sum, lease.Token).ConfigureAwait(false);
        }
        catch when (sum is not null)
        {
            await sum.EndAsync().ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            throw;
        }

        await (sum?.EndAsync() ?? Task.CompletedTask).ConfigureAwait(false);
    }

    private ShardRead Checked(ShardRead read)
    {
        ThrowUnlessOwn(read.Tensor, read.Offset, read.Length, read.Slice);

        // A part that is all of its tensor has the same bytes in the same order.
        return read.Slice?.Bytes == read.Tensor.Bytes ? read with { Slice = null } : read;
    }

    // A tensor of another checkpoint may have chunks of another size, and its sums would be compared with the wrong bytes.
    private void ThrowUnlessOwn(ShardedTensor tensor, long offset, long length, TensorSlice? slice = null)
    {
        ArgumentNullException.ThrowIfNull(tensor);
        if (!_tensors.TryGetValue(tensor.Name, out var own) || !ReferenceEquals(own, tensor)
            || (slice is not null && !ReferenceEquals(own, slice.Tensor)))
        {
            throw Errors.ForeignTensor(tensor.Name, Reference);
        }

        if (offset < 0 || length > (slice?.Bytes ?? tensor.Bytes) - offset)
        {
            throw Errors.RunBeyondTensor(tensor, offset, length, slice?.Bytes ?? tensor.Bytes);
        }
    }
}
