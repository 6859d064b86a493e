using System.Collections.Concurrent;
using System.Diagnostics.Metrics;
using CloudShards.Formats;

namespace CloudShards.Tests;

/// <summary>Packs that are missing, damaged, or other than their manifest says.</summary>
public sealed class PackDamageTests : IAsyncLifetime
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
    public async Task WithoutItsPackEveryTensorIsReadFromItsShard(ShardVerification verification)
    {
        File.Delete(_stored.PackFile);
        await using var checkpoint = await _stored.OpenAsync(new() { Verification = verification, Logger = _log });

        await _stored.ReadAllAsync(checkpoint);

        Assert.Equal([WholePack], _stored.OfPacks());
        Assert.Equal(12, _stored.OfShards().Count());
        Assert.Single(_log.Lines, line => line.Contains($"The pack {StoreLayout.Pack(_stored.Pack)} cannot be used", StringComparison.Ordinal));
    }

    [Fact]
    public async Task TheShardsOfAMissingPackAreReadSeveralAtOnceWithinTheBudget()
    {
        File.Delete(_stored.PackFile);
        await using var checkpoint = await _stored.OpenAsync(new() { MaxConcurrency = 3 });
        var both = new TaskCompletionSource();
        _stored.Store.Reading = async stop =>
        {
            // The first small shard waits for the second.
            if (_stored.OfShards().Count(request => request == "0+100") is > 0 and var small)
            {
                await (small > 1 ? Task.Run(both.TrySetResult, stop) : both.Task.WaitAsync(TimeSpan.FromSeconds(30), stop));
            }
        };

        await _stored.ReadAllAsync(checkpoint);

        Assert.InRange(_stored.Store.MostReadsAtOnce, 2, 3);
    }

    [Theory]
    [InlineData(3_399)]
    [InlineData(2_000)]
    [InlineData(0)]
    public async Task APackThatIsShorterThanItsManifestSaysIsNotUsed(int bytes)
    {
        await File.WriteAllBytesAsync(_stored.PackFile, (await File.ReadAllBytesAsync(_stored.PackFile, Token))[..bytes], Token);
        await using var checkpoint = await _stored.OpenAsync(new() { Logger = _log });

        await _stored.ReadAllAsync(checkpoint);

        Assert.Equal(12, _stored.OfShards().Count());
        Assert.Single(_log.Lines, line => line.Contains("cannot be used", StringComparison.Ordinal));
    }

    [Theory]
    [InlineData(0, "t0", 0, "0+100")]
    [InlineData(299, "t2", 0, "0+100")]
    [InlineData(300, "t3", 0, "0+2500")]
    [InlineData(1_300, "t3", 1, "0+2500")]
    [InlineData(2_799, "t3", 2, "0+2500")]
    [InlineData(3_399, "t9", 0, "0+100")]
    public async Task ATensorThatThePackHasDamagedIsReadFromItsShard(int damaged, string tensor, int chunk, string read)
    {
        await _stored.DamageAsync(damaged);
        var corrupt = new ConcurrentQueue<long>();
        using var listener = Listen("cloudshards.chunks.corrupt", corrupt);
        await using var checkpoint = await _stored.OpenAsync(new() { Logger = _log });

        await _stored.ReadAllAsync(checkpoint);

        Assert.Equal([WholePack], _stored.OfPacks());
        Assert.Equal(new[] { "0+20000", read }.Order(), _stored.OfShards());
        var line = Assert.Single(_log.Lines);
        Assert.Contains($"Chunk {chunk} of the tensor {tensor} arrived damaged; {StoreLayout.Pack(_stored.Pack)}", line, StringComparison.Ordinal);
        Assert.Equal([1], corrupt);
    }

    [Fact]
    public async Task BothTiedTensorsAreReadFromTheShardWhereThePackIsDamaged()
    {
        await _stored.DamageAsync(150);
        await using var checkpoint = await _stored.OpenAsync();

        await _stored.ReadAllAsync(checkpoint);

        Assert.Equal(["0+100", "0+100", "0+20000"], _stored.OfShards());
    }

    [Fact]
    public async Task WhatIsDamagedInPackAndShardIsNamed()
    {
        await _stored.DamageAsync(2_799);
        await using var checkpoint = await _stored.OpenAsync();
        _stored.Store.Read = (_, content) => content[^1] ^= (byte)(content.Length is 2_500 or 500 ? 1 : 0);

        var corrupt = await Assert.ThrowsAsync<ShardCorruptException>(() => _stored.ReadAllAsync(checkpoint));

        Assert.Equal(("t3", 2, StoreLayout.Shard(checkpoint["t3"].Digest)), (corrupt.Tensor, corrupt.Chunk, corrupt.Blob));
    }

    [Fact]
    public async Task WithoutVerificationAPackIsTakenAsItIs()
    {
        await _stored.DamageAsync(0);
        await using var checkpoint = await _stored.OpenAsync(new() { Verification = ShardVerification.None });
        var (first, second) = (new byte[100], new byte[100]);

        await checkpoint.ReadAllAsync([ShardRead.Whole(checkpoint["t0"], first), ShardRead.Whole(checkpoint["t1"], second)], cancellationToken: Token);

        Assert.Equal((_stored.Contents["t0"][0] ^ 1, _stored.Contents["t1"][0]), (first[0], second[0]));
        Assert.Empty(_stored.OfShards());
    }

    [Fact]
    public async Task ATensorWhoseDigestDiffersThoughItsSumsDoNotIsReadFromItsShard()
    {
        // As if the sums had not told: the tensor is said to be another, whose shard is there and right.
        var forged = Digest.Of(_stored.Contents["large"].AsSpan(0, 100));
        Assert.True(await _stored.Store.TryCreateAsync(StoreLayout.Shard(forged), _stored.Contents["large"].AsMemory(0, 100), Token));
        ShardManifest Forge(ShardManifest manifest) => manifest with
        {
            Tensors = [.. manifest.Tensors.Select(tensor => tensor.Name == "t0" ? tensor with { Digest = forged } : tensor)],
        };
        await using var trusting = await _stored.OpenAsync(change: Forge);
        await _stored.ReadAllAsync(trusting);
        Assert.Equal(["0+20000"], _stored.OfShards());

        await using var checkpoint = await _stored.OpenAsync(new() { Verification = ShardVerification.Digest }, Forge);
        var corrupt = await Assert.ThrowsAsync<ShardCorruptException>(() => _stored.ReadAllAsync(checkpoint));

        Assert.Equal(("t0", StoreLayout.Shard(forged)), (corrupt.Tensor, corrupt.Blob));
        Assert.Contains("0+100", _stored.OfShards());
    }

    [Fact]
    public async Task WhatThePackHasDamagedIsCachedFromItsShard()
    {
        using var cache = new TemporaryFolder();
        await _stored.DamageAsync(0);
        await using var checkpoint = await _stored.OpenAsync(new() { CacheFolder = cache.Path });

        await _stored.ReadAllAsync(checkpoint);

        Assert.Equal(_stored.Contents["t0"], await File.ReadAllBytesAsync(CachedFile(cache, checkpoint["t0"]), Token));
        await _stored.ReadAllAsync(checkpoint);
        Assert.Equal(3, _stored.Store.Count("read"));
    }

    [Fact]
    public async Task APackOfOverlappingTensorsOrOfOthersGivesEachTensorItsBytes()
    {
        await using var checkpoint = await _stored.OpenAsync(change: manifest => manifest with
        {
            Packs = [new(_stored.Pack, long.MaxValue, [new("t0", 0), new("t1", 50), new("t2", 200), new("t5", long.MaxValue - 100), new("t4", 0)])],
        });

        await _stored.ReadAllAsync(checkpoint);

        Assert.Equal("0+300", Assert.Single(_stored.OfPacks()));
        Assert.Equal(10, _stored.OfShards().Count());
    }

    private static string CachedFile(TemporaryFolder cache, ShardedTensor tensor) =>
        Path.Combine(cache.Path, "sha256", tensor.Digest.Hex[..2], tensor.Digest.Hex);

    private static MeterListener Listen(string name, ConcurrentQueue<long> values)
    {
        var listener = new MeterListener
        {
            InstrumentPublished = (instrument, listener) =>
            {
                if (instrument.Meter.Name == "CloudShards" && instrument.Name == name)
                {
                    listener.EnableMeasurementEvents(instrument);
                }
            },
        };
        listener.SetMeasurementEventCallback<long>((_, value, tags, _) =>
        {
            if (tags[0].Value is "packed")
            {
                values.Enqueue(value);
            }
        });
        listener.Start();
        return listener;
    }
}
