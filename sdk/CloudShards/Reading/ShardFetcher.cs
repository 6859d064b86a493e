using System.Buffers;
using Azure;
using CloudShards.Formats;

namespace CloudShards;

/// <summary>
/// Brings ranges of shards into memory, from the cache or the store, and verifies them. A chunk that is wrong is asked for once more. When
/// the service says that it is asked too much, fewer requests run at once, and the refused one is made again later.
/// </summary>
internal sealed class ShardFetcher(
    IShardStore store, ShardCache? cache, RequestBudget budget, int chunkBytes, ShardedCheckpointOptions options, ReadTelemetry telemetry)
{
    /// <summary>Brings a range; true where it came from the cache.</summary>
    public async ValueTask<bool> FetchAsync(ShardedTensor tensor, long offset, Memory<byte> destination, CancellationToken cancellationToken)
    {
        if (cache?.TryRead(tensor, offset, destination.Span, cancellationToken) == true)
        {
            return true;
        }

        var (blob, range) = (StoreLayout.Shard(tensor.Digest), new ByteRange(offset, destination.Length));
        foreach (var chunk in await AskVerifiedAsync(tensor, blob, range, () => Copying(destination), cancellationToken).ConfigureAwait(false))
        {
            var at = ChunkSums.RangeOf(tensor, chunkBytes, chunk);
            await AskAgainAsync(tensor, blob, chunk, destination.Slice((int)(at.Offset - offset), (int)at.Length), cancellationToken).ConfigureAwait(false);
        }

        return false;
    }

    /// <summary>Brings the wanted bytes of a range that has others too; true where they came from the cache.</summary>
    public async ValueTask<bool> FetchAsync(TensorSlice slice, PlannedRequest request, Memory<byte> destination, CancellationToken cancellationToken)
    {
        var (tensor, blob) = (slice.Tensor, StoreLayout.Shard(slice.Tensor.Digest));
        if (cache is not null && TryReadCached(cache, slice, request, destination, cancellationToken))
        {
            return true;
        }

        var wrong = await AskVerifiedAsync(tensor, blob, request.Range, () => new SlicePicking(slice, request, destination).Take, cancellationToken)
            .ConfigureAwait(false);
        foreach (var chunk in wrong)
        {
            var part = request.Within(slice, ChunkSums.RangeOf(tensor, chunkBytes, chunk));
            var buffer = ArrayPool<byte>.Shared.Rent((int)part.Range.Length);
            try
            {
                var content = buffer.AsMemory(0, (int)part.Range.Length);
                await AskAgainAsync(tensor, blob, chunk, content, cancellationToken).ConfigureAwait(false);
                new SlicePicking(slice, part, destination.Slice((int)(part.Packed.Offset - request.Packed.Offset), (int)part.Packed.Length)).Take(content.Span);
            }
            finally
            {
                ArrayPool<byte>.Shared.Return(buffer);
            }
        }

        return false;
    }

    /// <summary>As <see cref="FetchAsync(ShardedTensor, long, Memory{byte}, CancellationToken)"/>, on the caller's thread.</summary>
    public bool Fetch(ShardedTensor tensor, long offset, Span<byte> destination, CancellationToken cancellationToken)
    {
        if (cache?.TryRead(tensor, offset, destination, cancellationToken) == true)
        {
            return true;
        }

        var blob = StoreLayout.Shard(tensor.Digest);
        Ask(blob, offset, destination, cancellationToken);
        var bad = Mismatch(tensor, offset, destination);
        while (bad is { } chunk)
        {
            telemetry.ChunkCorrupt(tensor.Name, chunk, blob);
            var range = ChunkSums.RangeOf(tensor, chunkBytes, chunk);
            var window = destination.Slice((int)(range.Offset - offset), (int)range.Length);
            Ask(blob, range.Offset, window, cancellationToken);
            ThrowIfStill(tensor, chunk, range.Offset, window);
            bad = Mismatch(tensor, offset, destination, chunk + 1);
        }

        return false;
    }

    /// <summary>
    /// Asks the store for a range of a blob, again and again where the service says that it is asked too much, each time from its start. Verifies nothing.
    /// </summary>
    /// <param name="blob">The blob.</param>
    /// <param name="range">Which of its bytes.</param>
    /// <param name="begin">Called for each attempt; what it returns takes the bytes in order.</param>
    /// <param name="cancellationToken">Ends it.</param>
    public ValueTask AskAsync(string blob, ByteRange range, Func<Action<ReadOnlySpan<byte>>> begin, CancellationToken cancellationToken) =>
        AskAsync(blob, range.Length, () => store.ReadAsync(blob, range.Offset, (int)range.Length, begin(), cancellationToken), cancellationToken);

    // The chunks that are wrong.
    private async ValueTask<IReadOnlyList<int>> AskVerifiedAsync(
        ShardedTensor tensor, string blob, ByteRange range, Func<Action<ReadOnlySpan<byte>>> begin, CancellationToken cancellationToken)
    {
        if (options.Verification == ShardVerification.None)
        {
            await AskAsync(blob, range, begin, cancellationToken).ConfigureAwait(false);
            return [];
        }

        RunningChunkSums sums = null!;
        Action<ReadOnlySpan<byte>> Begin()
        {
            var (running, take) = (sums = new(tensor, chunkBytes, range), begin());
            return piece =>
            {
                take(piece);
                running.Take(piece);
            };
        }

        await AskAsync(blob, range, Begin, cancellationToken).ConfigureAwait(false);
        return sums.Mismatches;
    }

    private async ValueTask AskAgainAsync(ShardedTensor tensor, string blob, int chunk, Memory<byte> window, CancellationToken cancellationToken)
    {
        telemetry.ChunkCorrupt(tensor.Name, chunk, blob);
        var offset = ChunkSums.RangeOf(tensor, chunkBytes, chunk).Offset;
        await AskAsync(blob, window.Length, () => store.ReadAsync(blob, offset, window, cancellationToken), cancellationToken).ConfigureAwait(false);
        ThrowIfStill(tensor, chunk, offset, window.Span);
    }

    private static Action<ReadOnlySpan<byte>> Copying(Memory<byte> destination)
    {
        var filled = 0;
        return piece =>
        {
            piece.CopyTo(destination.Span[filled..]);
            filled += piece.Length;
        };
    }

    private static bool TryReadCached(
        ShardCache shards, TensorSlice slice, PlannedRequest request, Memory<byte> destination, CancellationToken cancellationToken)
    {
        var buffer = ArrayPool<byte>.Shared.Rent((int)request.Range.Length);
        try
        {
            var content = buffer.AsSpan(0, (int)request.Range.Length);
            var isHit = shards.TryRead(slice.Tensor, request.Range.Offset, content, cancellationToken);
            if (isHit)
            {
                new SlicePicking(slice, request, destination).Take(content);
            }

            return isHit;
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
    }

    private async ValueTask AskAsync(string blob, long bytes, Func<ValueTask> ask, CancellationToken cancellationToken)
    {
        for (var attempt = 0; ; attempt++)
        {
            var round = budget.Round;
            telemetry.Request();
            try
            {
                await ask().ConfigureAwait(false);
                budget.Widen();
                telemetry.Arrived(bytes);
                return;
            }
            catch (RequestFailedException e) when (Throttling.DelayOf(e, attempt) is { } delay)
            {
                telemetry.Throttled(blob, e.Status, budget.Narrow(round), delay);
                await budget.PauseAsync(delay, options.TimeProvider, cancellationToken).ConfigureAwait(false);
            }
            catch (RequestFailedException e) when (e.Status is 401 or 403)
            {
                throw Errors.NotAllowed($"`{blob}`", e);
            }
        }
    }

    private void Ask(string blob, long offset, Span<byte> destination, CancellationToken cancellationToken)
    {
        for (var attempt = 0; ; attempt++)
        {
            var round = budget.Round;
            telemetry.Request();
            try
            {
                store.Read(blob, offset, destination, cancellationToken);
                budget.Widen();
                telemetry.Arrived(destination.Length);
                return;
            }
            catch (RequestFailedException e) when (Throttling.DelayOf(e, attempt) is { } delay)
            {
                telemetry.Throttled(blob, e.Status, budget.Narrow(round), delay);
                budget.Pause(delay, options.TimeProvider, cancellationToken);
            }
            catch (RequestFailedException e) when (e.Status is 401 or 403)
            {
                throw Errors.NotAllowed($"`{blob}`", e);
            }
        }
    }

    /// <summary>
    /// The first chunk of a whole tensor that is wrong, or null. Where digests are compared and only this one is wrong, nobody knows which chunk is,
    /// and the first stands for it.
    /// </summary>
    public int? MismatchOfWhole(ShardedTensor tensor, ReadOnlySpan<byte> content) =>
        Mismatch(tensor, 0, content) ?? (options.Verification == ShardVerification.Digest && Digest.Of(content) != tensor.Digest ? 0 : null);

    private int? Mismatch(ShardedTensor tensor, long offset, ReadOnlySpan<byte> content, int fromChunk = 0) =>
        options.Verification == ShardVerification.None ? null : ChunkSums.FirstMismatch(tensor, chunkBytes, offset, content, fromChunk);

    private void ThrowIfStill(ShardedTensor tensor, int chunk, long offset, ReadOnlySpan<byte> content)
    {
        if (ChunkSums.FirstMismatch(tensor, chunkBytes, offset, content, chunk) is not null)
        {
            throw Errors.ChunkCorrupt(tensor, chunk, ChunkSums.RangeOf(tensor, chunkBytes, chunk));
        }
    }
}
