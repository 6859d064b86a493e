using System.IO.Hashing;
using CloudShards.Formats;

namespace CloudShards.Tests;

/// <summary>Whole tensors that are read piece by piece to where they go.</summary>
public sealed class ReadIntoTests : IAsyncLifetime
{
    private static readonly TimeSpan Long = TimeSpan.FromSeconds(30);

    private readonly StoredCheckpoint _stored = new();
    private readonly TemporaryFolder _cache = new();

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public ValueTask InitializeAsync() => _stored.InitializeAsync();

    public ValueTask DisposeAsync()
    {
        _cache.Dispose();
        return _stored.DisposeAsync();
    }

    [Theory]
    [InlineData(true, true, ShardVerification.Chunks)]
    [InlineData(true, true, ShardVerification.Digest)]
    [InlineData(true, false, ShardVerification.Chunks)]
    [InlineData(true, false, ShardVerification.Digest)]
    [InlineData(false, true, ShardVerification.Chunks)]
    [InlineData(false, true, ShardVerification.Digest)]
    [InlineData(false, false, ShardVerification.Chunks)]
    [InlineData(false, false, ShardVerification.Digest)]
    public async Task EveryPieceLandsInItsPlace(bool isStaged, bool isBlocking, ShardVerification verification)
    {
        await using var checkpoint = await _stored.OpenAsync(new() { MaxRequestBytes = 3_000, Verification = verification });
        var targets = checkpoint.Tensors.Select(tensor => new PiecewiseTarget(tensor, isStaged)).ToList();

        await ReadAsync(checkpoint, targets, isBlocking);

        Assert.All(targets, target => Assert.Equal(_stored.Contents[target.Tensor.Name], target.Content));
        Assert.All(targets, target => Assert.Equal(0, target.OpenPieces));
        Assert.Equal([0, 3_000, 6_000, 9_000, 12_000, 15_000, 18_000], targets[0].Settled.Order());
    }

    [Theory]
    [InlineData(true, true)]
    [InlineData(true, false)]
    [InlineData(false, true)]
    [InlineData(false, false)]
    public async Task ATensorInManyPiecesIsCachedAsAWhole(bool isStaged, bool isBlocking)
    {
        await using var checkpoint = await _stored.OpenAsync(new() { MaxRequestBytes = 1_000, CacheFolder = _cache.Path });
        await ReadAsync(checkpoint, [new(checkpoint["embed.weight"], isStaged)], isBlocking);
        Assert.Equal(20, _stored.Store.Count("read"));
        var again = new PiecewiseTarget(checkpoint["embed.weight"], isStaged);

        await ReadAsync(checkpoint, [again], isBlocking);

        Assert.Equal(20, _stored.Store.Count("read"));
        Assert.Equal(_stored.Contents["embed.weight"], again.Content);
    }

    [Theory]
    [InlineData(true, true)]
    [InlineData(true, false)]
    [InlineData(false, true)]
    [InlineData(false, false)]
    public async Task ATensorInManyPiecesIsComparedWithItsDigest(bool isStaged, bool isBlocking)
    {
        var content = _stored.Contents["embed.weight"];
        var forged = new ShardedTensor(
            "forged", TensorDType.U8, [content.Length], content.Length, Digest.Of([1]), [.. content.Chunk(1_000).Select(chunk => XxHash3.HashToUInt64(chunk))]);
        var manifest = new ShardManifest { Name = "net", ChunkBytes = 1_000, Tensors = [forged] }.ToUtf8();
        await _stored.Folder.TryCreateAsync(StoreLayout.Shard(forged.Digest), content, Token);
        await _stored.Folder.TryCreateAsync(StoreLayout.Manifest("net", Digest.Of(manifest)), manifest, Token);
        await using var checkpoint = await ShardedCheckpoint.OpenFromAsync(
            _stored.Folder,
            CheckpointReference.ForDigest("net", Digest.Of(manifest)).ToString(),
            new() { Verification = ShardVerification.Digest, MaxRequestBytes = 1_000, CacheFolder = _cache.Path },
            Token);
        var target = new PiecewiseTarget(checkpoint["forged"], isStaged);

        var corrupt = await Assert.ThrowsAsync<ShardCorruptException>(() => ReadAsync(checkpoint, [target], isBlocking));

        Assert.Equal(("forged", null), (corrupt.Tensor, corrupt.Chunk));
        Assert.Equal(0, target.OpenPieces);
        Assert.Single(Directory.GetFiles(_cache.Path, "*", SearchOption.AllDirectories), file => Path.GetFileName(file) == ".lock");
    }

    [Fact]
    public async Task TheNextPieceIsAskedForWhileOneIsSettled()
    {
        await using var checkpoint = await _stored.OpenAsync(new() { MaxRequestBytes = 1_000, MaxConcurrency = 2 });
        var (reads, asked) = (0, new TaskCompletionSource());
        _stored.Store.Reading = _ =>
        {
            if (Interlocked.Increment(ref reads) == 3)
            {
                asked.SetResult();
            }

            return Task.CompletedTask;
        };
        var target = new PiecewiseTarget(checkpoint["embed.weight"], isStaged: true)
        {
            Settling = offset => Assert.True(offset > 0 || asked.Task.Wait(Long, Token)),
        };

        await checkpoint.ReadIntoAsync([target], cancellationToken: Token);

        Assert.Equal(_stored.Contents["embed.weight"], target.Content);
    }

    [Fact]
    public async Task PiecesThatWaitToBeHashedKeepTheirMemoryWithinTheBound()
    {
        // 40 pieces of 8 MiB, of which 8 may be open. The first comes last of those.
        var store = new PatternStore(40L * PatternStore.ChunkBytes);
        var settled = new SemaphoreSlim(0);
        store.Reading = async (offset, stop) =>
        {
            for (var i = 0; offset == 0 && i < 7; i++)
            {
                Assert.True(await settled.WaitAsync(Long, stop));
            }
        };
        await using var checkpoint = await store.OpenAsync(new()
        {
            Verification = ShardVerification.Digest, MaxConcurrency = 32, MaxBytesInFlight = 1L << 30,
        });
        var target = new PiecewiseTarget(checkpoint["a"], isStaged: true, new byte[PatternStore.ChunkBytes]);
        target.Settling = offset => settled.Release();

        await checkpoint.ReadIntoAsync([target], cancellationToken: Token);

        Assert.Equal(64 << 20, target.MostOpenBytes);
        Assert.Equal((40, 0), (target.Settled.Count, target.OpenPieces));
        Assert.Equal(0, target.Settled.ElementAt(7));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task AFailureIsThrownAsItIsAndEveryPieceIsGivenBack(bool isBlocking)
    {
        await using var checkpoint = await _stored.OpenAsync(new()
        {
            MaxRequestBytes = 1_000, MaxConcurrency = 4, Verification = ShardVerification.Digest,
        });
        var target = new PiecewiseTarget(checkpoint["embed.weight"], isStaged: true)
        {
            Settling = offset => _ = offset == 7_000 ? throw new TimeoutException() : 0,
        };

        await Assert.ThrowsAsync<TimeoutException>(() => ReadAsync(checkpoint, [target], isBlocking));

        Assert.Equal(0, target.OpenPieces);
        Assert.InRange(_stored.Store.Count("read"), 8, 19);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task CancellingGivesEveryPieceBackOnceNobodyWritesToIt(bool isBlocking)
    {
        await using var checkpoint = await _stored.OpenAsync(new()
        {
            MaxRequestBytes = 1_000, MaxConcurrency = 4, Verification = ShardVerification.Digest,
        });
        using var source = CancellationTokenSource.CreateLinkedTokenSource(Token);
        var reads = 0;
        _stored.Store.Read = (_, content) =>
        {
            if (Interlocked.Increment(ref reads) == 6)
            {
                source.Cancel();
            }

            // The pieces of a target that was given back are full of this.
            Assert.False(content.IndexOfAnyExcept((byte)0xEE) < 0);
        };
        var target = new PiecewiseTarget(checkpoint["embed.weight"], isStaged: true);

        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => ReadAsync(checkpoint, [target], isBlocking, source.Token));

        Assert.Equal(0, target.OpenPieces);
        Assert.InRange(reads, 6, 19);
    }

    [Fact]
    public async Task ABlockingReadAsksForSeveralPiecesAtOnce()
    {
        await using var checkpoint = await _stored.OpenAsync(new() { MaxRequestBytes = 5_000, MaxConcurrency = 4 });
        using var together = new Barrier(4);
        _stored.Store.Read = (_, _) => Assert.True(together.SignalAndWait(Long, Token));
        var target = new PiecewiseTarget(checkpoint["embed.weight"], isStaged: false);

        checkpoint.ReadInto(target, Token);

        Assert.Equal(_stored.Contents["embed.weight"], target.Content);
    }

    [Theory]
    [InlineData(true, true, 1)]
    [InlineData(false, true, 1)]
    [InlineData(true, false, 4)]
    public async Task SmallTensorsComeFromTheirPackOneByOne(bool isStaged, bool hasPack, int requests)
    {
        var contents = Enumerable.Range(1, 3).Select(i => Enumerable.Repeat((byte)i, 100 * i).ToArray()).ToArray();
        var tensors = contents.Select((content, i) => new ShardedTensor(
            $"t{i}", TensorDType.U8, [content.Length], content.Length, Digest.Of(content), [XxHash3.HashToUInt64(content)])).ToArray();
        byte[] pack = [.. contents.SelectMany(content => content)];
        var manifest = new ShardManifest
        {
            Name = "net", ChunkBytes = 1_000, Tensors = [.. tensors], Packs = [new(Digest.Of(pack), pack.Length, [new("t0", 0), new("t1", 100), new("t2", 300)])],
        }.ToUtf8();
        foreach (var (content, tensor) in contents.Zip(tensors))
        {
            await _stored.Folder.TryCreateAsync(StoreLayout.Shard(tensor.Digest), content, Token);
        }

        Assert.True(!hasPack || await _stored.Folder.TryCreateAsync(StoreLayout.Pack(Digest.Of(pack)), pack, Token));
        await _stored.Folder.TryCreateAsync(StoreLayout.Manifest("net", Digest.Of(manifest)), manifest, Token);
        await using var checkpoint = await ShardedCheckpoint.OpenFromAsync(
            _stored.Store,
            CheckpointReference.ForDigest("net", Digest.Of(manifest)).ToString(),
            new() { Verification = ShardVerification.Digest, CacheFolder = _cache.Path },
            Token);
        var read = checkpoint.Tensors.Select(tensor => new PiecewiseTarget(tensor, isStaged)).ToList();

        await ReadAsync(checkpoint, read, isBlocking: false);
        var again = checkpoint.Tensors.Select(tensor => new PiecewiseTarget(tensor, isStaged)).ToList();
        await ReadAsync(checkpoint, again, isBlocking: false);

        Assert.All([.. read, .. again], target => Assert.Equal(contents[target.Tensor.Name[1] - '0'], target.Content));
        Assert.All([.. read, .. again], target => Assert.Equal(0, target.OpenPieces));
        Assert.All(read, target => Assert.True(!isStaged || target.MostOpenBytes == target.Tensor.Bytes));
        Assert.Equal(requests, _stored.Store.Count("read"));
    }

    [Fact]
    public async Task ATensorOfAnotherCheckpointIsRefused()
    {
        await using var checkpoint = await _stored.OpenAsync();
        await using var other = await _stored.OpenAsync();
        var target = new PiecewiseTarget(other["scale"], isStaged: true);

        await Assert.ThrowsAsync<ArgumentException>(() => checkpoint.ReadIntoAsync([target], cancellationToken: Token));
        Assert.Throws<ArgumentException>(() => checkpoint.ReadInto(target, Token));
    }

    private static async Task ReadAsync(
        ShardedCheckpoint checkpoint, List<PiecewiseTarget> targets, bool isBlocking, CancellationToken? cancellationToken = null)
    {
        if (!isBlocking)
        {
            await checkpoint.ReadIntoAsync(targets, cancellationToken: cancellationToken ?? Token);
            return;
        }

        foreach (var target in targets)
        {
            checkpoint.ReadInto(target, cancellationToken ?? Token);
        }
    }
}
