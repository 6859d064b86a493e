using System.Collections.Immutable;
using System.Diagnostics;
using CloudShards.Formats;

namespace CloudShards;

/// <summary>Runs the requests of all reads of a checkpoint, as its budget lets them, and verifies what arrives.</summary>
internal sealed class RangeScheduler
{
    // What pieces of targets may take together, in each call.
    private const long StagingBytes = 64 << 20;

    private readonly RequestBudget _budget;
    private readonly ShardCache? _cache;
    private readonly ShardFetcher _fetcher;
    private readonly PackFetcher _packs;
    private readonly ReadPlanner _planner;
    private readonly PackReadPlanner _packPlanner;
    private readonly ShardedCheckpointOptions _options;
    private readonly ReadTelemetry _telemetry;

    /// <summary>A scheduler of a checkpoint's reads.</summary>
    public RangeScheduler(IShardStore store, ShardManifest manifest, ShardedCheckpointOptions options, ReadTelemetry telemetry)
    {
        var chunkBytes = manifest.ChunkBytes;
        (_options, _telemetry) = (options, telemetry);
        _budget = options.Budget ?? new(options.MaxConcurrency, options.MaxBytesInFlight);
        _cache = options.CacheFolder is { } folder ? new(CacheFolder.At(folder), manifest, options.CacheMaxBytes, options.TimeProvider, telemetry) : null;
        _fetcher = new(store, _cache, _budget, chunkBytes, options, telemetry);
        _packs = new(_fetcher, telemetry);
        _planner = new(chunkBytes, options.MaxRequestBytes, options.MaxGapBytes);

        // Small tensors have a chunk each, so that a manifest's chunks, however large, are no reason for a larger request.
        _packPlanner = new(manifest.Packs, Math.Min(options.MaxRequestBytes, _budget.MaxBytes), options.MaxGapBytes);
    }

    /// <summary>What it would cost to read parts of tensors together.</summary>
    public ReadPlan Cost(IEnumerable<TensorSlice> slices)
    {
        var (requests, bytes, overRead) = (0L, 0L, 0L);
        foreach (var group in _packPlanner.Group(slices, static slice => slice.Bytes == slice.Tensor.Bytes ? slice.Tensor : null))
        {
            if (group.Pack is not null)
            {
                (requests, bytes, overRead) = (requests + 1, bytes + group.Range.Length, overRead + group.GapBytes(slice => slice.Bytes));
                continue;
            }

            var slice = group.Members[0].Item;
            foreach (var request in _planner.Plan(slice, new(0, slice.Bytes)))
            {
                (requests, bytes, overRead) = (requests + 1, bytes + request.Range.Length, overRead + request.Range.Length - request.Packed.Length);
            }
        }

        return new(requests, bytes, overRead);
    }

    /// <summary>Runs reads, which are enumerated as they are started. The first failure ends the others and is thrown.</summary>
    public async Task RunAsync(IEnumerable<ShardRead> reads, ProgressSum? progress, CancellationToken cancellationToken)
    {
        using var fills = NewFills(cancellationToken);
        using var loans = new PieceLoans(StagingBytes);
        await Parallel.ForEachAsync(Plan(reads, fills, loans, progress), Parallelism(cancellationToken), async (request, stop) =>
        {
            if (request is RangeRequest range)
            {
                var isCached = await RunAsync(range, stop).ConfigureAwait(false);
                range.Arrival.Take(range.Planned.Range.Offset, range.Destination, isCached);
            }
            else if (request is PieceRequest piece)
            {
                await RunAsync(piece, loans, stop).ConfigureAwait(false);
            }
            else if (request is PackRequest pack)
            {
                await RunAsync(pack, stop).ConfigureAwait(false);
            }
        }).ConfigureAwait(false);
    }

    /// <summary>Reads a whole tensor on the caller's thread and on others, as many as requests may run.</summary>
    public void Run(ShardTarget target, CancellationToken cancellationToken)
    {
        using var fills = NewFills(cancellationToken);
        using var loans = new PieceLoans(StagingBytes);
        var requests = Plan([ShardRead.Into(target)], fills, loans, null).OfType<PieceRequest>();
        var threads = (int)Math.Min(_options.MaxConcurrency, 1 + ((target.Tensor.Bytes - 1) / _planner.RequestBytes));
        WorkerThreads.ForEach(requests, threads, (request, stop) => Run(request, loans, stop), cancellationToken);
    }

    /// <summary>Runs one read on the caller's thread, request by request.</summary>
    public void Run(ShardedTensor tensor, long offset, Span<byte> destination, CancellationToken cancellationToken)
    {
        using var fills = NewFills(cancellationToken);
        var fill = destination.Length == tensor.Bytes && destination.Length > 0 ? fills?.TryBegin(tensor) : null;
        foreach (var range in _planner.Plan(new ByteRange(offset, destination.Length)))
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

    private IEnumerable<Request> Plan(IEnumerable<ShardRead> reads, CacheFills? fills, PieceLoans loans, ProgressSum? progress)
    {
        ShardPass? pass = null;
        foreach (var group in _packPlanner.Group(reads, read => read.IsWhole && _cache?.Has(read.Tensor) != true ? read.Tensor : null))
        {
            if (group.Pack is { } pack)
            {
                yield return new PackRequest(pack, group.Range, [.. group.Members.Select(member => new PackedRead(
                    member.Item, member.Offset, ArrivalOf(member.Item, PassOf(member.Item, null, fills), progress)))]);
                continue;
            }

            var read = group.Members[0].Item;
            pass = PassOf(read, pass, fills);
            var arrival = ArrivalOf(read, pass, progress);
            if (read.Target is { } target)
            {
                foreach (var range in _planner.Pieces(read.Tensor, target.IsStaged))
                {
                    yield return new PieceRequest(target, range, target.IsStaged ? loans.Ask(range.Length) : null, arrival);
                }

                continue;
            }

            var slice = read.Slice ?? TensorSlice.Whole(read.Tensor);
            foreach (var planned in _planner.Plan(slice, new(read.Offset, read.Destination.Length)))
            {
                yield return new RangeRequest(
                    slice, planned, read.Destination.Slice((int)(planned.Packed.Offset - read.Offset), (int)planned.Packed.Length), arrival);
            }
        }
    }

    private static Arrival ArrivalOf(in ShardRead read, ShardPass? pass, ProgressSum? progress) =>
        new(pass, progress, progress?.Begin(read.Length));

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

    private async ValueTask<RequestBudget.Lease> EnterAsync(long bytes, CancellationToken cancellationToken)
    {
        var begun = Stopwatch.GetTimestamp();
        var turn = await _budget.EnterAsync(bytes, cancellationToken).ConfigureAwait(false);
        _telemetry.Queued(Stopwatch.GetElapsedTime(begun));
        return turn;
    }

    private async ValueTask RunAsync(PackRequest request, CancellationToken cancellationToken)
    {
        if (_cache is not null)
        {
            _telemetry.CacheMiss(request.Reads.Length);
        }

        ImmutableArray<PackedRead> missing;
        using (await EnterAsync(request.Range.Length, cancellationToken).ConfigureAwait(false))
        {
            missing = await _packs.FetchAsync(request.Pack, request.Range, request.Reads, cancellationToken).ConfigureAwait(false);
        }

        await Parallel.ForEachAsync(missing, Parallelism(cancellationToken), async (read, stop) =>
        {
            using var turn = await EnterAsync(read.Tensor.Bytes, stop).ConfigureAwait(false);
            using var piece = read.Open();
            piece.Take(await _fetcher.FetchAsync(read.Tensor, 0, piece.Memory, stop).ConfigureAwait(false));
        }).ConfigureAwait(false);
    }

    private async ValueTask RunAsync(PieceRequest request, PieceLoans loans, CancellationToken cancellationToken)
    {
        if (request.Turn is { } turn)
        {
            await turn.Granted.WaitAsync(cancellationToken).ConfigureAwait(false);
        }

        // After a failure it stays open until the call has ended: by then another thread may be hashing it.
        var piece = request.Open(loans);
        var isCached = true;
        foreach (var range in _planner.Plan(request.Range))
        {
            using var entered = await EnterAsync(range.Length, cancellationToken).ConfigureAwait(false);
            isCached &= await _fetcher.FetchAsync(request.Target.Tensor, range.Offset, request.Part(piece, range), cancellationToken).ConfigureAwait(false);
        }

        request.Take(piece, isCached);
    }

    private void Run(PieceRequest request, PieceLoans loans, CancellationToken cancellationToken)
    {
        request.Turn?.Granted.Wait(cancellationToken);
        var piece = request.Open(loans);
        var isCached = true;
        foreach (var range in _planner.Plan(request.Range))
        {
            var begun = Stopwatch.GetTimestamp();
            using var entered = _budget.Enter(range.Length, cancellationToken);
            _telemetry.Queued(Stopwatch.GetElapsedTime(begun));
            isCached &= _fetcher.Fetch(request.Target.Tensor, range.Offset, request.Part(piece, range).Span, cancellationToken);
        }

        request.Take(piece, isCached);
    }

    private async ValueTask<bool> RunAsync(RangeRequest request, CancellationToken cancellationToken)
    {
        var (slice, planned, destination) = (request.Slice, request.Planned, request.Destination);
        using var turn = await EnterAsync(planned.Range.Length, cancellationToken).ConfigureAwait(false);
        return planned.IsExact
            ? await _fetcher.FetchAsync(slice.Tensor, planned.Range.Offset, destination, cancellationToken).ConfigureAwait(false)
            : await _fetcher.FetchAsync(slice, planned, destination, cancellationToken).ConfigureAwait(false);
    }

    private ParallelOptions Parallelism(CancellationToken cancellationToken) =>
        new() { MaxDegreeOfParallelism = _options.MaxConcurrency, CancellationToken = cancellationToken };

    private abstract record Request;

    private sealed record RangeRequest(TensorSlice Slice, PlannedRequest Planned, Memory<byte> Destination, Arrival Arrival) : Request;

    private sealed record PieceRequest(ShardTarget Target, ByteRange Range, PieceLoans.Ticket? Turn, Arrival Arrival) : Request
    {
        public PieceLoans.Piece Open(PieceLoans loans) => loans.Open(Target, Range.Offset, (int)Range.Length, Turn);

        public Memory<byte> Part(PieceLoans.Piece piece, ByteRange range) =>
            piece.Owner.Memory.Slice((int)(range.Offset - Range.Offset), (int)range.Length);

        public void Take(PieceLoans.Piece piece, bool isCached)
        {
            Target.Settle(Range.Offset, piece.Owner);
            Arrival.Take(Range.Offset, piece.Owner.Memory, isCached, piece);
        }
    }

    private sealed record PackRequest(ManifestPack Pack, ByteRange Range, ImmutableArray<PackedRead> Reads) : Request;
}

/// <summary>Who is told that bytes of a read have arrived.</summary>
internal readonly record struct Arrival(ShardPass? Pass, ProgressSum? Progress, ProgressSum.Run? Run)
{
    /// <summary>
    /// Bytes from <paramref name="offset"/> of the tensor on are in place and verified. <paramref name="loan"/> is disposed of once they
    /// are no longer needed.
    /// </summary>
    public void Take(long offset, Memory<byte> bytes, bool isCached, IDisposable? loan = null)
    {
        if (Pass is null)
        {
            loan?.Dispose();
        }

        var length = bytes.Length;
        Pass?.Add(offset, bytes, isCached, loan);
        if (Run is { } run)
        {
            Progress?.Add(run, length);
        }
    }
}
