namespace CloudShards.Tests;

public sealed class SliceReadTests : IAsyncLifetime
{
    private readonly StoredCheckpoint _stored = new();

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public ValueTask InitializeAsync() => _stored.InitializeAsync();

    public ValueTask DisposeAsync() => _stored.DisposeAsync();

    // embed.weight is BF16 [1000, 10]: rows of 20 bytes.
    [Theory]
    [InlineData(0, 8 << 20, 1_000, 0)]
    [InlineData(13, 8 << 20, 1_000, 0)]
    [InlineData(14, 8 << 20, 1, 999 * 14)]
    [InlineData(14, 8_000, 3, 999 * 14)]
    [InlineData(256 << 10, 8_000, 3, 999 * 14)]
    public async Task ColumnsCostWhatThePlanSays(int maxGapBytes, int maxRequestBytes, int requests, int overRead)
    {
        await using var checkpoint = await _stored.OpenAsync(new() { MaxGapBytes = maxGapBytes, MaxRequestBytes = maxRequestBytes });
        var slice = TensorSlice.Of(checkpoint["embed.weight"], [Range.All, 4..7]);
        var read = new byte[6_000];

        var plan = checkpoint.Plan(slice);
        Assert.Equal(0, _stored.Store.Count("read"));
        await checkpoint.ReadSliceAsync("embed.weight", [Range.All, 4..7], read, Token);

        Assert.Equal(_stored.Contents["embed.weight"].Chunk(20).SelectMany(row => row[8..14]), read);
        Assert.Equal(new(requests, 6_000 + overRead, overRead), plan);
        Assert.Equal(requests, _stored.Store.Count("read"));
        Assert.Equal(plan.Bytes, _stored.Store.Requests.Where(request => request.StartsWith("read", StringComparison.Ordinal)).Sum(request => long.Parse(request[(request.IndexOf('+', StringComparison.Ordinal) + 1)..], null)));
    }

    [Fact]
    public async Task WindowsOfASliceTogetherAreTheSlice()
    {
        await using var checkpoint = await _stored.OpenAsync();
        var tensor = checkpoint["embed.weight"];
        var slice = TensorSlice.Of(tensor, [10..90, 4..7]);
        var read = new byte[slice.Bytes];
        var reports = new List<ShardProgress>();

        await checkpoint.ReadAllAsync(
            Enumerable.Range(0, 7).Select(i => i * 69).Select(i => new ShardRead(tensor, i, read.AsMemory(i, Math.Min(69, read.Length - i)), slice)).ToList(),
            new Reports(reports),
            Token);

        Assert.Equal(_stored.Contents["embed.weight"].Chunk(20).Skip(10).Take(80).SelectMany(row => row[8..14]), read);
        Assert.Equal((480, 480, 7), (reports[^1].BytesRead, reports[^1].BytesTotal, reports[^1].TensorsRead));
    }

    [Fact]
    public async Task AChunkThatLiesWholeInWhatIsReadForASliceIsVerified()
    {
        await using var checkpoint = await _stored.OpenAsync();
        var damage = 1;
        _stored.Store.Read = (offset, content) =>
        {
            if (offset <= 7_123 && offset + content.Length > 7_123 && damage-- > 0)
            {
                content[(int)(7_123 - offset)] ^= 1;
            }
        };
        var read = new byte[6_000];

        await checkpoint.ReadSliceAsync("embed.weight", [Range.All, 4..7], read, Token);

        Assert.Equal(_stored.Contents["embed.weight"].Chunk(20).SelectMany(row => row[8..14]), read);
        Assert.Equal(2, _stored.Store.Count("read"));
        damage = int.MaxValue;
        var corrupt = await Assert.ThrowsAsync<ShardCorruptException>(() => checkpoint.ReadSliceAsync("embed.weight", [Range.All, 4..7], read, Token));
        Assert.Equal(7, corrupt.Chunk);
    }

    [Fact]
    public async Task ASliceOfAnotherCheckpointOrBeyondItsEndIsRefused()
    {
        await using var checkpoint = await _stored.OpenAsync();
        await using var other = await _stored.OpenAsync();
        var (own, foreign) = (checkpoint["embed.weight"], other["embed.weight"]);
        var slice = TensorSlice.Of(own, [0..2]);

        await Assert.ThrowsAsync<ArgumentException>(() => checkpoint.ReadAllAsync([new(own, 0, new byte[41], slice)], cancellationToken: Token));
        await Assert.ThrowsAsync<ArgumentException>(() => checkpoint.ReadAllAsync([new(own, 0, new byte[40], TensorSlice.Of(foreign, [0..2]))], cancellationToken: Token));
        Assert.Throws<ArgumentException>(() => checkpoint.Plan(TensorSlice.Of(foreign, [0..2])));
        Assert.Throws<ArgumentException>(() => ShardRead.Whole(slice, new byte[41]));
        Assert.Equal(0, _stored.Store.Count("read"));
    }

    [Fact]
    public async Task BytesInFlightStayWithinTheirBudget()
    {
        await using var checkpoint = await _stored.OpenAsync(new() { MaxConcurrency = 16, MaxRequestBytes = 1_000, MaxBytesInFlight = 3_500 });
        _stored.Store.Reading = async _ => await Task.Yield();
        var read = new byte[6_000];

        await Task.WhenAll(
            checkpoint.ReadAsync("embed.weight", new byte[20_000], Token),
            checkpoint.ReadSliceAsync("embed.weight", [Range.All, 4..7], read, Token));

        Assert.Equal(_stored.Contents["embed.weight"].Chunk(20).SelectMany(row => row[8..14]), read);
        Assert.InRange(_stored.Store.MostReadsAtOnce, 1, 3);
    }

    private sealed class Reports(List<ShardProgress> reports) : IProgress<ShardProgress>
    {
        public void Report(ShardProgress value) => reports.Add(value);
    }
}
