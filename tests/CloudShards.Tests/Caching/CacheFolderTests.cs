using System.Buffers.Binary;
using CloudShards.Formats;
using Microsoft.Extensions.Time.Testing;
using Microsoft.Win32.SafeHandles;

namespace CloudShards.Tests;

/// <summary>A cache folder with others in it, who hold its lock, delete it, or have files of their own there.</summary>
public sealed class CacheFolderTests : IAsyncLifetime
{
    private const int Tensors = 40;
    private const int TensorBytes = 10_000;

    private readonly TemporaryFolder _folder = new();
    private readonly LogLines _log = new();
    private readonly FakeTimeProvider _time = new(DateTimeOffset.UnixEpoch.AddYears(50));

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    private string Cache => Path.Combine(_folder.Path, "cache");

    private string Incoming => Path.Combine(Cache, "incoming");

    private string Shards => Path.Combine(Cache, "sha256");

    private RecordingStore Store => field ??= new(new DirectoryShardStore(Path.Combine(_folder.Path, "store")));

    private int Kept => Directory.Exists(Shards) ? Directory.GetFiles(Shards, "*", SearchOption.AllDirectories).Length : 0;

    public async ValueTask InitializeAsync()
    {
        await PublishAsync("net", 0);
        await PublishAsync("other", 1_000);
    }

    public ValueTask DisposeAsync()
    {
        _folder.Dispose();
        return ValueTask.CompletedTask;
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task ATurnThatDoesNotEndIsGivenUpAndTriedAgainAfterAMinute(bool isBlocking)
    {
        await using var checkpoint = await OpenAsync("net");
        var held = HoldLock();

        Assert.Equal(Tensors, await ReadAllAsync(checkpoint, isBlocking));
        Assert.Equal(Tensors, await ReadAllAsync(checkpoint, isBlocking));
        Assert.Contains("Told once", Assert.Single(_log.Lines), StringComparison.Ordinal);
        Assert.Equal(0, Kept);
        held.Dispose();
        _time.Advance(TimeSpan.FromMinutes(1));
        await ReadAllAsync(checkpoint, isBlocking);

        Assert.Equal(Tensors, Kept);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task ShardsShareATurnAndNoneIsTakenToKeepWhatWasWritten(bool isBlocking)
    {
        await using var checkpoint = await OpenAsync("net", pieceBytes: 1_000);
        SafeFileHandle? held = null;
        var reads = 0;
        Store.Read = (_, _) => held = ++reads == 15 ? HoldLock() : held;

        // Ten pieces each: the second shard is being written.
        Assert.Equal(Tensors * 10, await ReadAllAsync(checkpoint, isBlocking));
        using (held)
        {
            Assert.Equal(Tensors, Kept);
        }
    }

    [Fact]
    public async Task OfACheckpointThatIsLargerThanTheCacheAPartStays()
    {
        for (var start = 0; start < 3; start++)
        {
            await using var checkpoint = await OpenAsync("net", TensorBytes * Tensors / 2);
            var requests = await ReadAllAsync(checkpoint);
            Assert.InRange(requests, start == 0 ? Tensors : Tensors / 2, start == 0 ? Tensors : (Tensors / 2) + 2);
            _time.Advance(TimeSpan.FromHours(1));
        }

        // It makes room for another one all the same.
        await using var other = await OpenAsync("other", TensorBytes * Tensors / 2);
        await ReadAllAsync(other);
        Assert.InRange(await ReadAllAsync(other), Tensors / 2, (Tensors / 2) + 2);
    }

    [Fact]
    public async Task CheckpointsOfAProcessFillAShardOnceAndWalkTheFolderOnce()
    {
        await using var first = await OpenAsync("net", pieceBytes: 1_000, concurrency: 1);
        await using var second = await OpenAsync("net");
        var isReading = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var mayGoOn = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var reads = 0;
        Store.Reading = async stop =>
        {
            if (Interlocked.Increment(ref reads) == 3)
            {
                isReading.SetResult();
                await mayGoOn.Task.WaitAsync(stop);
            }
        };
        var reading = first.ReadAsync("t0", new byte[TensorBytes], Token);
        await isReading.Task;
        await second.ReadAsync("t0", new byte[TensorBytes], Token);
        Assert.Single(Directory.GetFiles(Incoming, "*.tmp", SearchOption.AllDirectories));
        Assert.Equal(0, Kept);
        var left = Directory.CreateDirectory(Path.Combine(Incoming, $"{Guid.NewGuid():N}")).FullName;
        mayGoOn.SetResult();
        await reading;
        Assert.Equal(1, Kept);
        await ReadAllAsync(second);

        Assert.Equal(Tensors, Kept);
        Assert.True(Directory.Exists(left));
        Assert.Empty(_log.Lines);
    }

    [Fact]
    public async Task EachCheckpointWritesWithinItsOwnBound()
    {
        await using var large = await OpenAsync("net", 1_000_000);
        await using var small = await OpenAsync("other", 100_000);
        await ReadAllAsync(large);
        Assert.Equal(Tensors, Kept);

        await ReadAllAsync(small);
        Assert.InRange(Kept, 8, 10);
        await ReadAllAsync(large);
        Assert.InRange(Kept, Tensors, Tensors + 10);
    }

    [Fact]
    public async Task WhatACrashLeftIsRemovedAndWhatIsBeingWrittenIsCounted()
    {
        var left = NewRoom(0);
        await File.WriteAllBytesAsync(Path.Combine(left, "1.tmp"), new byte[1_000], Token);
        var live = NewRoom(350_000);
        await File.WriteAllBytesAsync(Path.Combine(live, "1.tmp"), new byte[1_000], Token);
        using var held = File.OpenHandle(Path.Combine(live, "promised"), FileMode.Open, FileAccess.ReadWrite, FileShare.Read);
        await using var checkpoint = await OpenAsync("net", 400_000);

        await ReadAllAsync(checkpoint);

        Assert.False(Directory.Exists(left));
        Assert.True(File.Exists(Path.Combine(live, "1.tmp")));
        Assert.Equal(5, Kept);
    }

    [Fact]
    public async Task WhatACacheDidNotPutThereIsNeitherCountedNorDeleted()
    {
        var foreign = new[]
        {
            NewFile(Path.Combine(Cache, "notes.txt")),
            NewFile(Path.Combine(Shards, Digest.Of([1]).Hex)),
            NewFile(Path.Combine(Shards, "ab", "notes.txt")),
            NewFile(Path.Combine(Shards, "zz", Digest.Of([2]).Hex)),
            NewFile(Path.Combine(Incoming, "upload.bin")),
            NewFile(Path.Combine(Incoming, "job", "upload.bin")),
            NewFile(Path.Combine(_folder.Path, "elsewhere", Digest.Of([3]).Hex)),
        };
        var hex = Digest.Of([3]).Hex;
        Directory.CreateSymbolicLink(Path.Combine(Shards, hex[..2]), Path.Combine(_folder.Path, "elsewhere"));
        Directory.CreateSymbolicLink(Path.Combine(Incoming, $"{Guid.NewGuid():N}"), Path.Combine(_folder.Path, "elsewhere"));
        await using var checkpoint = await OpenAsync("net", 3 * TensorBytes);
        await using var other = await OpenAsync("other", 3 * TensorBytes);

        await ReadAllAsync(checkpoint);
        await ReadAllAsync(other);

        Assert.All(foreign, file => Assert.True(File.Exists(file), file));
        Assert.Empty(_log.Lines);
    }

    [Fact]
    public async Task AFolderThatIsDeletedMeanwhileIsMadeAnew()
    {
        await using var checkpoint = await OpenAsync("net");
        await ReadAllAsync(checkpoint);
        Directory.Delete(Cache, recursive: true);

        Assert.Equal(Tensors, await ReadAllAsync(checkpoint));
        await ReadAllAsync(checkpoint);

        Assert.Equal(0, await ReadAllAsync(checkpoint));
        Assert.Equal(Tensors, Kept);
        Assert.InRange(_log.Lines.Count, 0, 1);
    }

    [Fact]
    public async Task WithoutTheSumTheFolderIsCountedAgain()
    {
        await using var checkpoint = await OpenAsync("net", 5 * TensorBytes);
        await ReadAllAsync(checkpoint);
        File.Delete(Path.Combine(Cache, ".lock"));
        _time.Advance(TimeSpan.FromHours(1));

        await using var other = await OpenAsync("other", 5 * TensorBytes);
        await ReadAllAsync(other);

        Assert.InRange(Kept, 3, 5);
    }

    [Fact]
    public async Task AReadThatIsCancelledLeavesNothingUnfinished()
    {
        using var source = CancellationTokenSource.CreateLinkedTokenSource(Token);
        await using var checkpoint = await OpenAsync("net", pieceBytes: 1_000);
        var reads = 0;
        Store.Reading = _ => ++reads == 25 ? source.CancelAsync() : Task.CompletedTask;
        var all = checkpoint.Tensors.Select(tensor => ShardRead.Whole(tensor, new byte[TensorBytes])).ToList();

        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => checkpoint.ReadAllAsync(all, cancellationToken: source.Token));

        Assert.Empty(Directory.GetFiles(Incoming, "*.tmp", SearchOption.AllDirectories));
        await ReadAllAsync(checkpoint);
        Assert.Equal(Tensors, Kept);
    }

    private static string NewFile(string path)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        File.WriteAllBytes(path, new byte[1_000_000]);
        return path;
    }

    private static byte[] Content(int seed)
    {
        var content = new byte[TensorBytes];
        new Random(seed).NextBytes(content);
        return content;
    }

    private string NewRoom(long promised)
    {
        var room = Directory.CreateDirectory(Path.Combine(Incoming, $"{Guid.NewGuid():N}")).FullName;
        var note = new byte[sizeof(long)];
        BinaryPrimitives.WriteInt64LittleEndian(note, promised);
        File.WriteAllBytes(Path.Combine(room, "promised"), note);
        return room;
    }

    private SafeFileHandle HoldLock()
    {
        Directory.CreateDirectory(Cache);
        return File.OpenHandle(Path.Combine(Cache, ".lock"), FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
    }

    private async Task PublishAsync(string name, int seed)
    {
        var writer = new CheckpointWriter(new DirectoryShardStore(Path.Combine(_folder.Path, "store")), name, new() { ChunkBytes = 1_000 });
        for (var i = 0; i < Tensors; i++)
        {
            await writer.WriteTensorAsync($"t{i}", TensorDType.U8, [TensorBytes], Content(seed + i), Token);
        }

        await writer.PublishAsync(cancellationToken: Token);
    }

    private Task<ShardedCheckpoint> OpenAsync(
        string name, long maxBytes = 1L << 30, int pieceBytes = TensorBytes, int concurrency = 8) => ShardedCheckpoint.OpenFromAsync(
        Store,
        name,
        new()
        {
            CacheFolder = Cache,
            CacheMaxBytes = maxBytes,
            MaxRequestBytes = pieceBytes,
            MaxConcurrency = concurrency,
            TimeProvider = _time,
            Logger = _log,
        },
        Token);

    /// <summary>Reads all tensors one after the other; how many requests the store got.</summary>
    private async Task<int> ReadAllAsync(ShardedCheckpoint checkpoint, bool isBlocking = false)
    {
        Store.Requests.Clear();
        foreach (var tensor in checkpoint.Tensors)
        {
            var read = new byte[TensorBytes];
            if (isBlocking)
            {
                checkpoint.Read(tensor, 0, read, Token);
            }
            else
            {
                await checkpoint.ReadAsync(tensor.Name, read, Token);
            }

            Assert.Equal(tensor.Digest, Digest.Of(read));
        }

        return Store.Count("read");
    }
}
