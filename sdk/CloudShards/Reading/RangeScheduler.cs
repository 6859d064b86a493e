using System.Buffers;
using CloudShards.Formats;

namespace CloudShards;

/// <summary>Runs the requests of all reads of a checkpoint, a bounded number at a time, and verifies what arrives.</summary>
internal sealed class RangeScheduler(IShardStore store, int chunkBytes, ShardedCheckpointOptions options)
{
    private readonly RequestBudget _budget = new(options.MaxConcurrency, options.MaxBytesInFlight);

    /// <summary>Cuts what is wanted into requests.</summary>
    public ReadPlanner Planner { get; } = new(chunkBytes, options.MaxRequestBytes, options.MaxGapBytes);

    /// <summary>Runs reads, which are enumerated as they are started. The first failure ends the others and is thrown.</summary>
    public async Task RunAsync(IEnumerable<ShardRead> reads, ProgressSum? progress, CancellationToken cancellationToken)
    {
        var parallel = new ParallelOptions { MaxDegreeOfParallelism = options.MaxConcurrency, CancellationToken = cancellationToken };
        await Parallel.ForEachAsync(Plan(reads, progress), parallel, async (request, stop) =>
        {
            await RunAsync(request, stop).ConfigureAwait(false);
            request.Pass?.Add(request.Planned.Range.Offset, request.Destination);
            if (request.Run is { } run)
            {
                progress?.Add(run, request.Destination.Length);
            }
        }).ConfigureAwait(false);
    }

    /// <summary>Runs one read on the caller's thread, request by request.</summary>
    public void Run(ShardedTensor tensor, long offset, Span<byte> destination, CancellationToken cancellationToken)
    {
        foreach (var range in Planner.Plan(new ByteRange(offset, destination.Length)))
        {
            using var turn = _budget.Enter(range.Length, cancellationToken);
            Fetch(tensor, range.Offset, destination.Slice((int)(range.Offset - offset), (int)range.Length), cancellationToken);
        }

        if (options.Verification == ShardVerification.Digest && destination.Length == tensor.Bytes)
        {
            ShardPass.ThrowUnlessWhole(tensor, Digest.Of(destination));
        }
    }

    private IEnumerable<Request> Plan(IEnumerable<ShardRead> reads, ProgressSum? progress)
    {
        ShardPass? pass = null;
        foreach (var read in reads)
        {
            pass = PassOf(read, pass);
            var run = progress?.Begin(read.Destination.Length);
            var slice = read.Slice ?? TensorSlice.Whole(read.Tensor);
            foreach (var planned in Planner.Plan(slice, new(read.Offset, read.Destination.Length)))
            {
                yield return new(slice, planned, read.Destination.Slice((int)(planned.Packed.Offset - read.Offset), (int)planned.Packed.Length), pass, run);
            }
        }
    }

    private ShardPass? PassOf(in ShardRead read, ShardPass? current)
    {
        if (options.Verification != ShardVerification.Digest || current?.Continues(read) == true)
        {
            return current;
        }

        var next = new ShardPass(read.Tensor);
        return next.Continues(read) ? next : null;
    }

    private async ValueTask RunAsync(Request request, CancellationToken cancellationToken)
    {
        var (slice, planned, destination) = (request.Slice, request.Planned, request.Destination);
        using var turn = await _budget.EnterAsync(planned.Range.Length, cancellationToken).ConfigureAwait(false);
        if (planned.IsExact)
        {
            await FetchAsync(slice.Tensor, planned.Range.Offset, destination, cancellationToken).ConfigureAwait(false);
            return;
        }

        var buffer = ArrayPool<byte>.Shared.Rent((int)planned.Range.Length);
        try
        {
            var content = buffer.AsMemory(0, (int)planned.Range.Length);
            await FetchAsync(slice.Tensor, planned.Range.Offset, content, cancellationToken).ConfigureAwait(false);
            planned.Pick(slice, content.Span, destination.Span);
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
    }

    private async ValueTask FetchAsync(ShardedTensor tensor, long offset, Memory<byte> destination, CancellationToken cancellationToken)
    {
        var blob = StoreLayout.Shard(tensor.Digest);
        await store.ReadAsync(blob, offset, destination, cancellationToken).ConfigureAwait(false);
        var bad = Mismatch(tensor, offset, destination.Span);
        while (bad is { } chunk)
        {
            var range = ChunkSums.RangeOf(tensor, chunkBytes, chunk);
            var window = destination.Slice((int)(range.Offset - offset), (int)range.Length);
            await store.ReadAsync(blob, range.Offset, window, cancellationToken).ConfigureAwait(false);
            ThrowIfStill(tensor, chunk, range.Offset, window.Span);
            bad = Mismatch(tensor, offset, destination.Span, chunk + 1);
        }
    }

    private void Fetch(ShardedTensor tensor, long offset, Span<byte> destination, CancellationToken cancellationToken)
    {
        var blob = StoreLayout.Shard(tensor.Digest);
        store.Read(blob, offset, destination, cancellationToken);
        var bad = Mismatch(tensor, offset, destination);
        while (bad is { } chunk)
        {
            var range = ChunkSums.RangeOf(tensor, chunkBytes, chunk);
            var window = destination.Slice((int)(range.Offset - offset), (int)range.Length);
            store.Read(blob, range.Offset, window, cancellationToken);
            ThrowIfStill(tensor, chunk, range.Offset, window);
            bad = Mismatch(tensor, offset, destination, chunk + 1);
        }
    }

    private int? Mismatch(ShardedTensor tensor, long offset, ReadOnlySpan<byte> content, int fromChunk = 0) =>
        options.Verification == ShardVerification.None ? null : ChunkSums.FirstMismatch(tensor, chunkBytes, offset, content, fromChunk);

    private void ThrowIfStill(ShardedTensor tensor, int chunk, long offset, ReadOnlySpan<byte> content)
    {
        if (ChunkSums.FirstMismatch(tensor, chunkBytes, offset, content, chunk) is not null)
        {
            throw Errors.ChunkCorrupt(tensor, chunk, ChunkSums.RangeOf(tensor, chunkBytes, chunk));
        }
    }

    private readonly record struct Request(
        TensorSlice Slice, PlannedRequest Planned, Memory<byte> Destination, ShardPass? Pass, ProgressSum.Run? Run);
}
