using System.Collections.Immutable;
using CloudShards.Formats;
using Microsoft.Extensions.Time.Testing;

namespace CloudShards.Tests;

public sealed class ShardCacheTests : IAsyncLifetime
{
    private readonly StoredCheckpoint _stored = new();
    private readonly TemporaryFolder _cache = new();
    private readonly FakeTimeProvider _time = new(DateTimeOffset.UnixEpoch.AddYears(50));
    private readonly LogLines _log = new();

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    private IEnumerable<string> Unfinished => Files("incoming").Where(file => !file.EndsWith("promised", StringComparison.Ordinal));

    private string[] Kept => [.. Files("sha256").Order(StringComparer.Ordinal)];

    public ValueTask InitializeAsync() => _stored.InitializeAsync();

    public ValueTask DisposeAsync()
    {
        _cache.Dispose();
        return _stored.DisposeAsync();
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task ASecondStartReadsNoBlobButTagAndManifest(bool isBlocking)
    {
        await ReadAllAsync(isBlocking);
        Assert.Equal(4, Kept.Length);
        _stored.Store.Requests.Clear();

        await ReadAllAsync(isBlocking);
        await ReadAllAsync(!isBlocking);

        Assert.Equal((4, 0), (_stored.Store.Count("document"), _stored.Store.Count("read")));
        Assert.Empty(Unfinished);
        Assert.Empty(_log.Lines);
    }

    [Fact]
    public async Task ASliceIsReadFromACachedShardAndDoesNotCacheOne()
    {
        await using var checkpoint = await OpenAsync();
        var read = new byte[6_000];

        await checkpoint.ReadSliceAsync("embed.weight", [Range.All, 4..7], read, Token);
        Assert.Empty(Kept);
        await checkpoint.ReadAsync("embed.weight", new byte[20_000], Token);
        _stored.Store.Requests.Clear();
        Array.Clear(read);
        await checkpoint.ReadSliceAsync("embed.weight", [Range.All, 4..7], read, Token);

        Assert.Equal(_stored.Contents["embed.weight"].Chunk(20).SelectMany(row => row[8..14]), read);
        Assert.Empty(_stored.Store.Requests);
    }

    [Theory]
    [InlineData(2_999)]
    [InlineData(2_500)]
    [InlineData(2_000)]
    public async Task APartOfAChunkIsTakenOnlyIfAllOfTheChunkIsRight(int flipped)
    {
        await ReadAllAsync();
        var file = Path.Combine(_cache.Path, "sha256", FileOf("embed.weight"));
        var content = await File.ReadAllBytesAsync(file, Token);
        content[flipped] ^= 1;
        await File.WriteAllBytesAsync(file, content, Token);
        await using var checkpoint = await OpenAsync();
        var read = new byte[400];

        // Rows 120 to 139: bytes 2,400 to 2,799 of chunk 2.
        await checkpoint.ReadSliceAsync("embed.weight", [120..140], read, Token);

        Assert.Equal(_stored.Contents["embed.weight"][2_400..2_800], read);
        Assert.Single(_log.Lines, line => line.Contains("embed.weight", StringComparison.Ordinal));
        Assert.DoesNotContain(FileOf("embed.weight"), Kept);
    }

    [Theory]
    [InlineData(true, false)]
    [InlineData(true, true)]
    [InlineData(false, false)]
    public async Task ADamagedFileIsDroppedAndReadAnew(bool isFlipped, bool isBlocking)
    {
        await ReadAllAsync();
        var file = Path.Combine(_cache.Path, "sha256", FileOf("norm.weight"));
        var content = await File.ReadAllBytesAsync(file, Token);
        content[3] ^= (byte)(isFlipped ? 1 : 0);
        await File.WriteAllBytesAsync(file, isFlipped ? content : content[..^1], Token);
        _stored.Store.Requests.Clear();

        await ReadAllAsync(isBlocking);
        Assert.Equal(1, _stored.Store.Count("read"));
        Assert.Single(_log.Lines, line => line.Contains("norm.weight", StringComparison.Ordinal));
        await ReadAllAsync();
        await ReadAllAsync();

        Assert.InRange(_stored.Store.Count("read"), 1, 2);
        Assert.Equal(_stored.Contents["norm.weight"], await File.ReadAllBytesAsync(file, Token));
    }

    [Fact]
    public async Task TheLeastRecentlyUsedGoFirst()
    {
        // 20,000 + 14 + 2 + 1,000 bytes; 24,000 hold all, and one more of 3,000 makes no room without the oldest.
        const int MaxBytes = 24_000;
        await using var checkpoint = await OpenAsync(new() { CacheMaxBytes = MaxBytes });
        foreach (var name in (string[])["norm.weight", "embed.weight", "scale", "head.weight", "norm.weight"])
        {
            await checkpoint.ReadAsync(name, new byte[checkpoint[name].Bytes], Token);
            _time.Advance(TimeSpan.FromHours(1));
        }

        Assert.Equal(4, Kept.Length);
        var writer = new CheckpointWriter(_stored.Folder, "other", new() { ChunkBytes = 1_000 });
        await writer.WriteTensorAsync("late", TensorDType.U8, [3_000], new byte[3_000], Token);
        await writer.PublishAsync(cancellationToken: Token);
        await using var other = await ShardedCheckpoint.OpenFromAsync(_stored.Store, "other", Options() with { CacheMaxBytes = MaxBytes }, Token);
        await other.ReadAsync("late", new byte[3_000], Token);

        Assert.Equal(
            new[] { FileOf("head.weight"), FileOf("norm.weight"), FileOf("scale"), FileOf(other["late"].Digest) }.Order(StringComparer.Ordinal), Kept);
    }

    [Fact]
    public async Task AShardLargerThanTheCacheIsNotKept()
    {
        await ReadAllAsync(options: new() { CacheMaxBytes = 19_999 });

        Assert.DoesNotContain(FileOf("embed.weight"), Kept);
        Assert.Equal(3, Kept.Length);
    }

    [Fact]
    public async Task WhatWasNotVerifiedIsNotKept()
    {
        await ReadAllAsync(options: new() { Verification = ShardVerification.None });

        Assert.Empty(Kept);
    }

    [Fact]
    public async Task AReadThatFailsLeavesNothingBehind()
    {
        await using var checkpoint = await OpenAsync(new() { MaxConcurrency = 2 });
        var reads = 0;
        _stored.Store.Reading = _ => ++reads == 5 ? throw new TimeoutException() : Task.CompletedTask;

        await Assert.ThrowsAsync<TimeoutException>(() => checkpoint.ReadAsync("embed.weight", new byte[20_000], Token));

        Assert.Empty(Unfinished.Concat(Kept));
        _stored.Store.Reading = _ => Task.CompletedTask;
        await checkpoint.ReadAsync("embed.weight", new byte[20_000], Token);
        Assert.Equal([FileOf("embed.weight")], Kept);
    }

    [Theory]
    [InlineData("")]
    [InlineData("incoming")]
    [InlineData("sha256")]
    [InlineData(".lock/x")]
    public async Task ACacheThatCannotBeUsedFailsNoRead(string file)
    {
        var path = Path.Combine(_cache.Path, "cache", file);
        Directory.CreateDirectory(Path.GetDirectoryName(path.TrimEnd('/'))!);
        await File.WriteAllTextAsync(path.TrimEnd('/'), "not a folder", Token);

        await ReadAllAsync(options: new() { CacheFolder = Path.Combine(_cache.Path, "cache") });
        await ReadAllAsync(true, new() { CacheFolder = Path.Combine(_cache.Path, "cache") });

        Assert.All(_log.Lines, line => Assert.Contains("Told once", line, StringComparison.Ordinal));
        Assert.Equal(2, _log.Lines.Count);
    }

    [Fact]
    public async Task ManyReadersShareOneFolderWithinItsBound()
    {
        const int MaxBytes = 21_000;
        var largest = 0L;
        _stored.Store.Reading = async _ =>
        {
            lock (_log)
            {
                largest = Math.Max(largest, Directory.GetFiles(Path.Combine(_cache.Path, "sha256"), "*", SearchOption.AllDirectories).Sum(Length));
            }

            await Task.Yield();
        };
        Directory.CreateDirectory(Path.Combine(_cache.Path, "sha256"));

        await Task.WhenAll(Enumerable.Range(0, 8).Select(i => Task.Run(
            async () =>
            {
                for (var round = 0; round < 5; round++)
                {
                    await ReadAllAsync(i % 2 == 0, new() { CacheMaxBytes = MaxBytes });
                }
            },
            Token)));

        Assert.InRange(largest, 0, MaxBytes);
        Assert.Empty(Unfinished);
        Assert.All(Kept, file => Assert.Equal(Path.GetFileName(file), Digest.Of(File.ReadAllBytes(Path.Combine(_cache.Path, "sha256", file))).Hex));
        Assert.Empty(_log.Lines);
    }

    private static long Length(string file)
    {
        var info = new FileInfo(file);
        return info.Exists ? info.Length : 0;
    }

    private IEnumerable<string> Files(string folder) => Directory.Exists(Path.Combine(_cache.Path, folder))
        ? Directory.GetFiles(Path.Combine(_cache.Path, folder), "*", SearchOption.AllDirectories)
            .Select(file => Path.GetRelativePath(Path.Combine(_cache.Path, folder), file))
        : [];

    private string FileOf(string tensor) => FileOf(Digest.Of(_stored.Contents[tensor]));

    private static string FileOf(Digest digest) => Path.Combine(digest.Hex[..2], digest.Hex);

    private ShardedCheckpointOptions Options(ShardedCheckpointOptions? options = null)
    {
        options ??= new();
        return options with { CacheFolder = options.CacheFolder ?? _cache.Path, MaxRequestBytes = 1_000, TimeProvider = _time, Logger = _log };
    }

    private Task<ShardedCheckpoint> OpenAsync(ShardedCheckpointOptions? options = null) => _stored.OpenAsync(Options(options));

    private async Task ReadAllAsync(bool isBlocking = false, ShardedCheckpointOptions? options = null)
    {
        await using var checkpoint = await OpenAsync(options);
        var reads = checkpoint.Tensors.Select(tensor => ShardRead.Whole(tensor, new byte[tensor.Bytes])).ToImmutableArray();
        if (isBlocking)
        {
            foreach (var read in reads)
            {
                checkpoint.Read(read.Tensor, 0, read.Destination.Span, Token);
            }
        }
        else
        {
            await checkpoint.ReadAllAsync(reads, cancellationToken: Token);
        }

        Assert.All(reads, read => Assert.Equal(_stored.Contents[read.Tensor.Name], read.Destination.ToArray()));
    }
}
