namespace CloudShards.Tests;

public sealed class BufferPoolTests
{
    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task MemoryThatCannotBeMadeIsNotMissedAfterwards()
    {
        var pool = new BufferPool(int.MaxValue);
        for (var i = 0; i < 2; i++)
        {
            await Assert.ThrowsAsync<OutOfMemoryException>(async () => await pool.RentAsync(1, Token));
        }
    }

    [Fact]
    public async Task APieceLongerThanThePoolIsRefused() =>
        await Assert.ThrowsAsync<ArgumentOutOfRangeException>(async () => await new BufferPool(10).RentAsync(11, Token));

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public async Task PiecesThatAreLentAtOnceNeverOverlap(int seed)
    {
        const int Bytes = 1_000;
        var pool = new BufferPool(Bytes);
        var random = new Random(seed);
        var lengths = Enumerable.Range(0, 2_000).Select(_ => random.Next(5) == 0 ? random.Next(Bytes + 1) : random.Next(200)).ToList();
        var (lent, most) = (0, 0);
        var parallel = new ParallelOptions { MaxDegreeOfParallelism = 16, CancellationToken = Token };

        await Parallel.ForAsync(0, lengths.Count, parallel, async (i, token) =>
        {
            using var piece = await pool.RentAsync(lengths[i], token);
            lock (lengths)
            {
                lent += piece.Length;
                most = Math.Max(most, lent);
            }

            piece.Memory.Span.Fill((byte)i);
            await Task.Yield();
            Assert.Equal(lengths[i], piece.Memory.Length);
            Assert.False(piece.Memory.Span.ContainsAnyExcept((byte)i));
            lock (lengths)
            {
                lent -= piece.Length;
            }
        });

        Assert.InRange(most, 1, Bytes);
        using var all = await pool.RentAsync(Bytes, Token);
    }

    [Fact]
    public async Task WhoAskedFirstIsServedFirst()
    {
        var pool = new BufferPool(10);
        var first = await pool.RentAsync(6, Token);
        var large = pool.RentAsync(10, Token).AsTask();
        var small = pool.RentAsync(1, Token).AsTask();

        Assert.False(small.IsCompleted);
        first.Dispose();
        (await large).Dispose();
        (await small).Dispose();
    }

    [Fact]
    public async Task WhoGivesUpWaitingLetsOthersPass()
    {
        var pool = new BufferPool(10);
        using var first = await pool.RentAsync(6, Token);
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(Token);
        var large = pool.RentAsync(10, stop.Token).AsTask();
        var small = pool.RentAsync(4, Token).AsTask();

        await stop.CancelAsync();

        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => large);
        (await small).Dispose();
    }

    [Fact]
    public async Task APieceThatIsGivenBackTwiceIsFreeOnce()
    {
        var pool = new BufferPool(10);
        var first = await pool.RentAsync(10, Token);
        first.Dispose();
        using var second = await pool.RentAsync(10, Token);
        first.Dispose();

        Assert.False(pool.RentAsync(1, Token).AsTask().IsCompleted);
    }

    [Fact]
    public async Task MemoryIsLetGoOfOnlyWhileNoneIsLent()
    {
        var pool = new BufferPool(10);
        var first = await pool.RentAsync(4, Token);
        first.Memory.Span.Fill(1);
        pool.Release();
        var second = await pool.RentAsync(4, Token);
        second.Memory.Span.Fill(2);
        Assert.Equal([1, 1, 1, 1], first.Memory.ToArray());
        first.Dispose();
        second.Dispose();

        pool.Release();
        using var fresh = await pool.RentAsync(10, Token);

        Assert.False(first.Memory.Equals(fresh.Memory[..4]));
    }
}
