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

        var blob = StoreLayout.Shard(tensor.Digest);
        foreach (var chunk in await AskVerifiedAsync(tensor, blob, offset, destination, cancellationToken).ConfigureAwait(false))
        {
            telemetry.ChunkCorrupt(tensor.Name, chunk, blob);
            var range = ChunkSums.RangeOf(tensor, chunkBytes, chunk);
            var window = destination.Slice((int)(range.Offset - offset), (int)range.Length);
            await AskAsync(blob, range.Offset, window, cancellationToken).ConfigureAwait(false);
            ThrowIfStill(tensor, chunk, range.Offset, window.Span);
        }

        return false;
    }

    /// <summary>As <see cref="FetchAsync"/>, on the caller's thread.</summary>
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

    /// <summary>Asks the store for a range of a blob, again and again where the service says that it is asked too much. Verifies nothing.</summary>
    public ValueTask AskAsync(string blob, long offset, Memory<byte> destination, CancellationToken cancellationToken) =>
        AskAsync(blob, destination.Length, () => store.ReadAsync(blob, offset, destination, cancellationToken), cancellationToken);

    // The chunks that are wrong.
    private async ValueTask<IReadOnlyList<int>> AskVerifiedAsync(
        ShardedTensor tensor, string blob, long offset, Memory<byte> destination, CancellationToken cancellationToken)
    {
        if (options.Verification == ShardVerification.None)
        {
            await AskAsync(blob, offset, destination, cancellationToken).ConfigureAwait(false);
            return [];
        }

        RunningChunkSums sums = null!;
        await AskAsync(
            blob,
            destination.Length,
            () =>
            {
                sums = new(tensor, chunkBytes, offset, destination);
                return store.ReadAsync(blob, offset, destination, sums.Take, cancellationToken);
            },
            cancellationToken).ConfigureAwait(false);
        return sums.Mismatches;
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
