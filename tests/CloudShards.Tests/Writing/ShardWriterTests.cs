using System.IO.Hashing;
using CloudShards.Formats;
using Microsoft.Extensions.Time.Testing;

namespace CloudShards.Tests;

public sealed class ShardWriterTests : IDisposable
{
    private static readonly ShardWriterOptions Small = new() { ChunkBytes = 1_000, BlockBytes = 1_500, BufferBytes = 4_000 };

    private readonly TemporaryFolder _folder = new();
    private readonly RecordingStore _store;

    public ShardWriterTests() => _store = new(new DirectoryShardStore(_folder.Path));

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(1_000)]
    [InlineData(1_500)]
    [InlineData(4_000)]
    [InlineData(4_001)]
    [InlineData(30_000)]
    public async Task AShardIsStoredUnderItsDigestWithItsSums(int length)
    {
        var content = Bytes(length);
        var (fromMemory, isNew) = await new ShardWriter(_store, Small).WriteAsync(content, Token);

        Assert.True(isNew);
        Assert.Equal((Digest.Of(content), length), (fromMemory.Digest, fromMemory.Bytes));
        Assert.Equal(content.Chunk(1_000).Select(chunk => XxHash3.HashToUInt64(chunk)), fromMemory.Chunks);
        Assert.Equal(content, await ReadAsync(fromMemory));

        using var elsewhere = new TemporaryFolder();
        var source = new Source(content);
        var (given, isNewThere) = await new ShardWriter(new DirectoryShardStore(elsewhere.Path), Small).WriteAsync(length, source.ReadAsync, Token);

        Assert.True(isNewThere);
        Assert.Equal((fromMemory.Digest, fromMemory.Bytes), (given.Digest, given.Bytes));
        Assert.Equal(fromMemory.Chunks, given.Chunks);
        Assert.Equal(content, File.ReadAllBytes(Path.Combine([elsewhere.Path, .. StoreLayout.Shard(given.Digest).Split('/')])));
        Assert.Equal(length * (length > Small.BufferBytes ? 2 : 1), source.BytesRead);
    }

    [Fact]
    public async Task ALargeShardThatExistsIsNotSentAgain()
    {
        var content = Bytes(2 << 20);
        var source = new Source(content);
        var writer = new ShardWriter(_store, new());
        await writer.WriteAsync(content, Token);
        _store.Requests.Clear();

        Assert.False((await writer.WriteAsync(content, Token)).Created);
        Assert.False((await writer.WriteAsync(content.Length, source.ReadAsync, Token)).Created);
        Assert.False((await new ShardWriter(_store, Small).WriteAsync(content.Length, source.ReadAsync, Token)).Created);

        Assert.All(_store.Requests, request => Assert.StartsWith("length ", request, StringComparison.Ordinal));
        Assert.Equal(2 * content.Length, source.BytesRead);
    }

    [Fact]
    public async Task ASmallShardIsSentWithoutAsking()
    {
        var writer = new ShardWriter(_store, new());

        Assert.True((await writer.WriteAsync(Bytes(100), Token)).Created);
        Assert.Single(_store.Requests);
        Assert.False((await writer.WriteAsync(Bytes(100), Token)).Created);
    }

    [Theory]
    [InlineData(100)]
    [InlineData(2 << 20)]
    public async Task AShardOfAnotherLengthUnderTheSameDigestIsAnError(int length)
    {
        var content = Bytes(length);
        var blob = StoreLayout.Shard(Digest.Of(content));
        await _store.TryCreateAsync(blob, Bytes(99), Token);

        var damaged = await Assert.ThrowsAsync<InvalidDataException>(() => new ShardWriter(_store, new()).WriteAsync(content, Token));
        await Assert.ThrowsAsync<InvalidDataException>(
            () => new ShardWriter(_store, Small).WriteAsync(length, new Source(content).ReadAsync, Token));

        Assert.Contains($"`{blob}` is there with 99 bytes", damaged.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(10)]
    [InlineData(2 << 20)]
    public async Task AReusedShardIsRenewedOnceItIsADayOld(int length)
    {
        var content = Bytes(length);
        await new ShardWriter(_store, new()).WriteAsync(content, Token);
        await WriteLaterAsync(TimeSpan.FromHours(23));
        Assert.Equal(0, _store.Count("renew"));

        await WriteLaterAsync(TimeSpan.FromHours(25));
        Assert.Equal(1, _store.Count("renew"));

        async Task WriteLaterAsync(TimeSpan later)
        {
            var writer = new ShardWriter(_store, new() { Clock = new FakeTimeProvider(DateTimeOffset.UtcNow + later) });
            Assert.False((await writer.WriteAsync(content, Token)).Created);
        }
    }

    [Fact]
    public async Task AShardThatIsSweptWhileItIsReusedIsWrittenAgain()
    {
        var content = Bytes(2 << 20);
        await new ShardWriter(_store, new()).WriteAsync(content, Token);
        _store.Renewing = async name => await _store.TryDeleteAsync(name, DateTimeOffset.UtcNow, Token);

        var writer = new ShardWriter(_store, new() { Clock = new FakeTimeProvider(DateTimeOffset.UtcNow + TimeSpan.FromDays(2)) });
        var (sums, isNew) = await writer.WriteAsync(content, Token);

        Assert.True(isNew);
        Assert.Equal(content, await ReadAsync(sums));
    }

    [Fact]
    public async Task ContentThatChangesBetweenItsReadingsIsNotStored()
    {
        var content = Bytes(10_000);
        var source = new Source(content) { AfterRead = read => content[9_999] ^= (byte)(read == 10_000 ? 1 : 0) };
        var first = StoreLayout.Shard(Digest.Of(content));

        await Assert.ThrowsAsync<InvalidDataException>(() => new ShardWriter(_store, Small).WriteAsync(content.Length, source.ReadAsync, Token));

        Assert.Equal(1, _store.Count("blocks"));
        Assert.Null(await _store.TryFindAsync(first, Token));
        Assert.Null(await _store.TryFindAsync(StoreLayout.Shard(Digest.Of(content)), Token));
    }

    [Fact]
    public async Task HashedContentCanBeSentLater()
    {
        var source = new Source(Bytes(10_000));
        var writer = new ShardWriter(_store, Small);

        var sums = await writer.HashAsync(10_000, source.ReadAsync, Token);
        Assert.False(await writer.ExistsAsync(sums, Token));
        Assert.True((await writer.WriteAsync(sums, source.ReadAsync, Token)).Created);

        Assert.True(await writer.ExistsAsync(sums, Token));
        Assert.Equal(20_000, source.BytesRead);
    }

    [Fact]
    public async Task AFailedReadGivesItsBufferBack()
    {
        var writer = new ShardWriter(_store, Small);
        var source = new Source(Bytes(10_000)) { AfterRead = read => _ = read >= 3_000 ? throw new TimeoutException() : 0 };

        await Assert.ThrowsAsync<TimeoutException>(() => writer.WriteAsync(10_000, source.ReadAsync, Token));

        Assert.True((await writer.WriteAsync(10_000, new Source(Bytes(10_000)).ReadAsync, Token)).Created);
    }

    [Fact]
    public async Task NoMoreWritesThanFitInTheBuffersAreUnderWay()
    {
        var writer = new ShardWriter(_store, Small);
        var (running, most) = (0, 0);
        async ValueTask ReadAsync(long offset, Memory<byte> destination, CancellationToken cancellationToken)
        {
            var now = Interlocked.Increment(ref running);
            lock (_folder)
            {
                most = Math.Max(most, now);
            }

            await Task.Yield();
            Interlocked.Decrement(ref running);
        }

        await Task.WhenAll(Enumerable.Range(1_900, 20).Select(length => writer.WriteAsync(length, ReadAsync, Token)));

        Assert.InRange(most, 1, 2);
    }

    [Fact]
    public async Task ACancelledTokenEndsEveryCall()
    {
        var writer = new ShardWriter(_store, Small);
        var stop = new CancellationToken(canceled: true);
        var source = new Source(Bytes(10_000));

        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => writer.WriteAsync(Bytes(1), stop));
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => writer.WriteAsync(Bytes(10_000), stop));
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => writer.WriteAsync(10_000, source.ReadAsync, stop));
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => writer.HashAsync(10_000, source.ReadAsync, stop));
    }

    private static byte[] Bytes(int length)
    {
        var bytes = new byte[length];
        new Random(length).NextBytes(bytes);
        return bytes;
    }

    private async Task<byte[]> ReadAsync(ShardSums sums)
    {
        var content = new byte[sums.Bytes];
        await _store.ReadAsync(StoreLayout.Shard(sums.Digest), 0, content, Token);
        return content;
    }

    /// <summary>Content that lies elsewhere.</summary>
    private sealed class Source(byte[] content)
    {
        public long BytesRead { get; private set; }

        public Action<long> AfterRead { get; init; } = _ => { };

        public async ValueTask ReadAsync(long offset, Memory<byte> destination, CancellationToken cancellationToken)
        {
            await Task.Yield();
            cancellationToken.ThrowIfCancellationRequested();
            content.AsMemory((int)offset, destination.Length).CopyTo(destination);
            BytesRead += destination.Length;
            AfterRead(BytesRead);
        }
    }
}
