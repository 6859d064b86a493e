using CloudShards.Formats;

namespace CloudShards;

/// <summary>Runs the requests of all reads of a checkpoint, a bounded number at a time, and verifies what arrives.</summary>
internal sealed class RangeScheduler(IShardStore store, int chunkBytes, ShardedCheckpointOptions options) : IDisposable
{
    private readonly SemaphoreSlim _requests = new(options.MaxConcurrency);

    /// <summary>Runs reads, which are enumerated as they are started. The first failure ends the others and is thrown.</summary>
    public async Task RunAsync(IEnumerable<ShardRead> reads, ProgressSum? progress, CancellationToken cancellationToken)
    {
        var parallel = new ParallelOptions { MaxDegreeOfParallelism = options.MaxConcurrency, CancellationToken = cancellationToken };
        await Parallel.ForEachAsync(Plan(reads, progress), parallel, async (request, stop) =>
        {
            await RunAsync(request.Read, stop).ConfigureAwait(false);
            if (request.Run is { } run)
            {
                progress?.Add(run, request.Read.Destination.Length);
            }
        }).ConfigureAwait(false);
    }

    /// <summary>Runs one read on the caller's thread, request by request.</summary>
    public void Run(ShardedTensor tensor, long offset, Span<byte> destination, CancellationToken cancellationToken)
    {
        foreach (var range in ReadPlanner.Plan(new(offset, destination.Length), chunkBytes, options.MaxRequestBytes))
        {
            _requests.Wait(cancellationToken);
            try
            {
                Fetch(tensor, range.Offset, destination.Slice((int)(range.Offset - offset), (int)range.Length), cancellationToken);
            }
            finally
            {
                _requests.Release();
            }
        }
    }

    /// <summary>Frees what bounds the requests; none may be running.</summary>
    public void Dispose() => _requests.Dispose();

    private IEnumerable<Request> Plan(IEnumerable<ShardRead> reads, ProgressSum? progress)
    {
        foreach (var read in reads)
        {
            var run = progress?.Begin(read.Destination.Length);
            foreach (var range in ReadPlanner.Plan(new(read.Offset, read.Destination.Length), chunkBytes, options.MaxRequestBytes))
            {
                var window = read.Destination.Slice((int)(range.Offset - read.Offset), (int)range.Length);
                yield return new(read with { Offset = range.Offset, Destination = window }, run);
            }
        }
    }

    private async ValueTask RunAsync(ShardRead request, CancellationToken cancellationToken)
    {
        await _requests.WaitAsync(cancellationToken).ConfigureAwait(false);
        try
        {
            await FetchAsync(request, cancellationToken).ConfigureAwait(false);
        }
        finally
        {
            _requests.Release();
        }
    }

    private async ValueTask FetchAsync(ShardRead read, CancellationToken cancellationToken)
    {
        var (tensor, offset, destination) = read;
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

    private readonly record struct Request(ShardRead Read, ProgressSum.Run? Run);
}
