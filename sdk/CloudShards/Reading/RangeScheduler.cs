using System.Buffers;
using System.Diagnostics;
using CloudShards.Formats;

namespace CloudShards;

/// <summary>Runs the requests of all reads of a checkpoint, a bounded number at a time, and verifies what arrives.</summary>
internal sealed class RangeScheduler
{
    private readonly RequestBudget _budget;
    private readonly ShardCache? _cache;
    private readonly ShardFetcher _fetcher;
    private readonly ShardedCheckpointOptions _options;
    private readonly ReadTelemetry _telemetry;

    /// <summary>A scheduler of a checkpoint's reads.</summary>
    public RangeScheduler(IShardStore store, int chunkBytes, ShardedCheckpointOptions options, ReadTelemetry telemetry)
    {
        (_options, _telemetry) = (options, telemetry);
        _budget = new(options.MaxConcurrency, options.MaxBytesInFlight);
        _cache = options.CacheFolder is { } folder ? new(folder, options.CacheMaxBytes, options.TimeProvider, telemetry) : null;
        _fetcher = new(store, _cache, _budget, chunkBytes, options, telemetry);
        Planner = new(chunkBytes, options.MaxRequestBytes, options.MaxGapBytes);
    }

    /// <summary>Cuts what is wanted into requests.</summary>
    public ReadPlanner Planner { get; }

    /// <summary>Runs reads, which are enumerated as they are started. The first failure ends the others and is thrown.</summary>
    public async Task RunAsync(IEnumerable<ShardRead> reads, ProgressSum? progress, CancellationToken cancellationToken)
    {
        var parallel = new ParallelOptions { MaxDegreeOfParallelism = _options.MaxConcurrency, CancellationToken = cancellationToken };
        using var fills = NewFills(cancellationToken);
        await Parallel.ForEachAsync(Plan(reads, fills, progress), parallel, async (request, stop) =>
        {
            var isCached = await RunAsync(request, stop).ConfigureAwait(false);
            request.Pass?.Add(request.Planned.Range.Offset, request.Destination, isCached);
            if (request.Run is { } run)
            {
                progress?.Add(run, request.Destination.Length);
            }
        }).ConfigureAwait(false);
    }

    /// <summary>Runs one read on the caller's thread, request by request.</summary>
    public void Run(ShardedTensor tensor, long offset, Span<byte> destination, CancellationToken cancellationToken)
    {
        using var fills = NewFills(cancellationToken);
        var fill = destination.Length == tensor.Bytes && destination.Length > 0 ? fills?.TryBegin(tensor) : null;
        foreach (var range in Planner.Plan(new ByteRange(offset, destination.Length)))
        {
            var window = destination.Slice((int)(range.Offset - offset), (int)range.Length);
            var begun = Stopwatch.GetTimestamp();
            using var turn = _budget.Enter(range.Length, cancellationToken);
            _telemetry.Queued(Stopwatch.GetElapsedTime(begun));
            _fetcher.Fetch(tensor, range.Offset, window, cancellationToken);
            fill?.Write(range.Offset, window);
        }

        if (_options.Verification == ShardVerification.Digest && destination.Length == tensor.Bytes)
        {
            ShardPass.ThrowUnlessWhole(tensor, Digest.Of(destination));
        }

        if (fill is not null)
        {
            fills?.Complete(fill);
        }
    }

    // Only what was verified is kept.
    private CacheFills? NewFills(CancellationToken cancellationToken) =>
        _cache is null || _options.Verification == ShardVerification.None ? null : new(_cache, cancellationToken);

    private IEnumerable<Request> Plan(IEnumerable<ShardRead> reads, CacheFills? fills, ProgressSum? progress)
    {
        ShardPass? pass = null;
        foreach (var read in reads)
        {
            pass = PassOf(read, pass, fills);
            var run = progress?.Begin(read.Destination.Length);
            var slice = read.Slice ?? TensorSlice.Whole(read.Tensor);
            foreach (var planned in Planner.Plan(slice, new(read.Offset, read.Destination.Length)))
            {
                yield return new(slice, planned, read.Destination.Slice((int)(planned.Packed.Offset - read.Offset), (int)planned.Packed.Length), pass, run);
            }
        }
    }

    private ShardPass? PassOf(in ShardRead read, ShardPass? current, CacheFills? fills)
    {
        var isHashed = _options.Verification == ShardVerification.Digest;
        if ((!isHashed && fills is null) || current?.Continues(read) == true)
        {
            return current;
        }

        var next = new ShardPass(read.Tensor, isHashed, fills);
        return next.Continues(read) ? next : null;
    }

    private async ValueTask<bool> RunAsync(Request request, CancellationToken cancellationToken)
    {
        var (slice, planned, destination) = (request.Slice, request.Planned, request.Destination);
        var begun = Stopwatch.GetTimestamp();
        using var turn = await _budget.EnterAsync(planned.Range.Length, cancellationToken).ConfigureAwait(false);
        _telemetry.Queued(Stopwatch.GetElapsedTime(begun));
        if (planned.IsExact)
        {
            return await _fetcher.FetchAsync(slice.Tensor, planned.Range.Offset, destination, cancellationToken).ConfigureAwait(false);
        }

        var buffer = ArrayPool<byte>.Shared.Rent((int)planned.Range.Length);
        try
        {
            var content = buffer.AsMemory(0, (int)planned.Range.Length);
            var isCached = await _fetcher.FetchAsync(slice.Tensor, planned.Range.Offset, content, cancellationToken).ConfigureAwait(false);
            planned.Pick(slice, content.Span, destination.Span);
            return isCached;
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
    }

    private readonly record struct Request(
        TensorSlice Slice, PlannedRequest Planned, Memory<byte> Destination, ShardPass? Pass, ProgressSum.Run? Run);
}
