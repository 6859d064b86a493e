using Azure;
using CloudShards.Formats;

namespace CloudShards.Tests;

/// <summary>Reads of many small tensors, from packs and around them.</summary>
public sealed class PackReadTests : IAsyncLifetime
{
    private const string WholePack = "0+3400";

    private readonly PackedCheckpoint _stored = new();
    private readonly LogLines _log = new();

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public ValueTask InitializeAsync() => _stored.InitializeAsync();

    public ValueTask DisposeAsync() => _stored.DisposeAsync();

    [Theory]
    [InlineData(ShardVerification.Chunks)]
    [InlineData(ShardVerification.Digest)]
    [InlineData(ShardVerification.None)]
    public async Task ManySmallTensorsAreReadByOneRequest(ShardVerification verification)
    {
        await using var checkpoint = await _stored.OpenAsync(new() { Verification = verification, Logger = _log });

        await _stored.ReadAllAsync(checkpoint);

        Assert.Equal([WholePack], _stored.OfPacks());
        Assert.Equal(["0+20000"], _stored.OfShards());
        Assert.Empty(_log.Lines);
    }

    [Fact]
    public async Task AManifestWithoutPacksIsReadFromItsShards()
    {
        await using var checkpoint = await _stored.OpenAsync(change: manifest => manifest with { Packs = default });

        await _stored.ReadAllAsync(checkpoint);

        Assert.Empty(_stored.OfPacks());
        Assert.Equal(12, _stored.OfShards().Count());
    }

    [Fact]
    public async Task OneTensorIsReadFromItsShard()
    {
        await using var checkpoint = await _stored.OpenAsync();
        var read = new byte[100];

        await checkpoint.ReadAsync("t5", read, Token);
        Assert.Equal(_stored.Contents["t5"], read);
        checkpoint.Read(checkpoint["t6"], 0, read, Token);
        Assert.Equal(_stored.Contents["t6"], read);

        Assert.Empty(_stored.OfPacks());
        Assert.Equal(["0+100", "0+100"], _stored.OfShards());
    }

    [Fact]
    public async Task PartsAreReadFromTheirShards()
    {
        await using var checkpoint = await _stored.OpenAsync();
        var read = new byte[200];

        await checkpoint.ReadAllAsync(
            [new(checkpoint["t4"], 0, read.AsMemory(0, 60)), ShardRead.Whole(TensorSlice.Of(checkpoint["t5"], [10..50]), read.AsMemory(60, 40))],
            cancellationToken: Token);

        Assert.Equal([.. _stored.Contents["t4"][..60], .. _stored.Contents["t5"][10..50]], read[..100]);
        Assert.Equal((0, 2), (_stored.OfPacks().Count(), _stored.OfShards().Count()));
    }

    [Fact]
    public async Task APartThatIsAllOfATensorIsReadAsTheTensor()
    {
        await using var checkpoint = await _stored.OpenAsync(new() { Verification = ShardVerification.Digest });
        var read = new byte[200];
        TensorSlice[] slices = [TensorSlice.Of(checkpoint["t4"], []), TensorSlice.Of(checkpoint["t5"], [0..100])];

        var plan = checkpoint.Plan(slices);
        await checkpoint.ReadAllAsync(slices.Select((slice, i) => ShardRead.Whole(slice, read.AsMemory(100 * i, 100))), cancellationToken: Token);

        Assert.Equal([.. _stored.Contents["t4"], .. _stored.Contents["t5"]], read);
        Assert.Equal(new ReadPlan(1, 200, 0), plan);
        Assert.Equal(["2800+200"], _stored.OfPacks());
        Assert.Empty(_stored.OfShards());
    }

    [Theory]
    [InlineData(8 << 20, 64 << 20)]
    [InlineData(1_500, 64 << 20)]
    [InlineData(8 << 20, 1_500)]
    [InlineData(300, 64 << 20)]
    [InlineData(50, 64 << 20)]
    public async Task ThePlanTellsTheRequestsAndNoneIsLargerThanItMayBe(int maxRequestBytes, int maxBytesInFlight)
    {
        await using var checkpoint = await _stored.OpenAsync(new() { MaxRequestBytes = maxRequestBytes, MaxBytesInFlight = maxBytesInFlight });

        var plan = checkpoint.Plan(checkpoint.Tensors.Select(tensor => TensorSlice.Of(tensor, [])));
        await _stored.ReadAllAsync(checkpoint);

        Assert.Equal((plan.Requests, plan.Bytes), (_stored.Store.Count("read"), _stored.OfPacks().Concat(_stored.OfShards()).Sum(LengthOf)));
        Assert.All(_stored.OfPacks(), request => Assert.InRange(LengthOf(request), 1, Math.Min(maxRequestBytes, maxBytesInFlight)));
    }

    [Fact]
    public async Task ThePlanTellsWhatIsReadBetweenTensorsThatAreWanted()
    {
        await using var checkpoint = await _stored.OpenAsync(new() { MaxGapBytes = 2_500 });
        var wanted = ((string[])["t0", "t1", "tied", "t2", "t4"]).Select(name => TensorSlice.Of(checkpoint[name], []));

        Assert.Equal(new ReadPlan(1, 2_900, 2_500), checkpoint.Plan(wanted));
    }

    [Fact]
    public async Task PackRequestsTogetherStayWithinTheBudget()
    {
        await using var checkpoint = await _stored.OpenAsync(new() { MaxRequestBytes = 300, MaxBytesInFlight = 650 }, manifest => manifest with
        {
            Tensors = [.. manifest.Tensors.Where(tensor => tensor.Bytes is > 0 and < 1_000)],
            Packs = [manifest.Packs[0] with { Tensors = [.. manifest.Packs[0].Tensors.Where(packed => packed.Name is not ("t3" or "empty"))] }],
        });
        _stored.Store.Reading = async _ => await Task.Yield();

        await _stored.ReadAllAsync(checkpoint);

        // Two requests of 300 bytes are as many as the budget holds.
        Assert.InRange(_stored.Store.MostReadsAtOnce, 1, 2);
        Assert.Equal(3, _stored.OfPacks().Count());
    }

    [Fact]
    public async Task ProgressCountsEveryTensorOnce()
    {
        await using var checkpoint = await _stored.OpenAsync();
        var reports = new Reports();

        await _stored.ReadAllAsync(checkpoint, reports);

        var total = _stored.Contents.Values.Sum(content => content.Length);
        Assert.Equal((total, total, 13), (reports[^1].BytesRead, reports[^1].BytesTotal, reports[^1].TensorsRead));
        Assert.Equal(reports.Select(report => report.BytesRead).Order(), reports.Select(report => report.BytesRead));

        // What arrives during a report is in the next.
        Assert.InRange(reports.Count, 1, 13);
    }

    [Fact]
    public async Task ACancelledReadEnds()
    {
        await using var checkpoint = await _stored.OpenAsync();
        using var cancelled = CancellationTokenSource.CreateLinkedTokenSource(Token);
        _stored.Store.Reading = async stop =>
        {
            await cancelled.CancelAsync();
            stop.ThrowIfCancellationRequested();
        };

        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => _stored.ReadAllAsync(checkpoint, cancellationToken: cancelled.Token));
    }

    [Fact]
    public async Task APackThatTheServiceIsAskedTooMuchForIsAskedForAgain()
    {
        var time = new ImpatientTime();
        await using var checkpoint = await _stored.OpenAsync(new() { TimeProvider = time, Logger = _log });
        var asked = 0;
        _stored.Store.Reading = _ => ++asked <= 2 ? throw new RequestFailedException(503, "busy") : Task.CompletedTask;
        var (first, second) = (new byte[100], new byte[100]);

        await checkpoint.ReadAllAsync([ShardRead.Whole(checkpoint["t0"], first), ShardRead.Whole(checkpoint["t1"], second)], cancellationToken: Token);

        Assert.Equal([.. _stored.Contents["t0"], .. _stored.Contents["t1"]], first.Concat(second));
        Assert.Equal(["0+200", "0+200", "0+200"], _stored.OfPacks());
        Assert.Equal(2, time.Waits.Count);
        Assert.All(_log.Lines, line => Assert.Contains("asked too much", line, StringComparison.Ordinal));
    }

    [Fact]
    public async Task AnotherRefusalOfAPackEndsTheRead()
    {
        await using var checkpoint = await _stored.OpenAsync();
        _stored.Store.Reading = _ => throw new RequestFailedException(403, "no");

        await Assert.ThrowsAsync<UnauthorizedAccessException>(() => _stored.ReadAllAsync(checkpoint));
    }

    [Fact]
    public async Task WhatAPackBroughtIsCachedAndNotAskedForAgain()
    {
        using var cache = new TemporaryFolder();
        var options = new ShardedCheckpointOptions { CacheFolder = cache.Path, Logger = _log };
        await using (var first = await _stored.OpenAsync(options))
        {
            await _stored.ReadAllAsync(first);
        }

        await using var second = await _stored.OpenAsync(options);
        await _stored.ReadAllAsync(second);
        Assert.Equal(0, _stored.Store.Count("read"));

        // One that is gone from the cache is read from its shard, several from the pack, without those that are there.
        File.Delete(CachedFile(cache, second["t7"]));
        await _stored.ReadAllAsync(second);
        Assert.Equal((0, "0+100"), (_stored.OfPacks().Count(), Assert.Single(_stored.OfShards())));
        File.Delete(CachedFile(cache, second["t4"]));
        File.Delete(CachedFile(cache, second["t5"]));
        await _stored.ReadAllAsync(second);
        Assert.Equal("2800+200", Assert.Single(_stored.OfPacks()));
        Assert.Single(_stored.OfShards());
        Assert.Empty(_log.Lines);
    }

    [Fact]
    public async Task LargeChunksDoNotMakeLargePackRequests()
    {
        await using var checkpoint = await _stored.OpenAsync(new() { MaxRequestBytes = 1_000 }, manifest => manifest with
        {
            ChunkBytes = CheckpointLimits.Default.MaxChunkBytes,
            Tensors = [.. manifest.Tensors.Where(tensor => tensor.Bytes is > 0 and < 1_000)],
            Packs = [manifest.Packs[0] with { Tensors = [.. manifest.Packs[0].Tensors.Where(packed => packed.Name is not ("t3" or "empty"))] }],
        });

        await _stored.ReadAllAsync(checkpoint);

        Assert.All(_stored.OfPacks(), request => Assert.InRange(LengthOf(request), 1, 1_000));
        Assert.Empty(_stored.OfShards());
    }

    private static string CachedFile(TemporaryFolder cache, ShardedTensor tensor) =>
        Path.Combine(cache.Path, "sha256", tensor.Digest.Hex[..2], tensor.Digest.Hex);

    private static long LengthOf(string range) => long.Parse(range[(range.IndexOf('+', StringComparison.Ordinal) + 1)..], System.Globalization.CultureInfo.InvariantCulture);

    private sealed class Reports : List<ShardProgress>, IProgress<ShardProgress>
    {
        public void Report(ShardProgress value) => Add(value);
    }
}
