using System.Collections.Concurrent;
using System.IO.Hashing;
using CloudShards.Formats;

namespace CloudShards.Tests;

/// <summary>A server on a real socket that does all kinds of wrong: every byte that is handed out is right, or an exception came.</summary>
public sealed class FaultTests
{
    private const int ChunkBytes = 1_000;
    private const int Rows = 100;
    private const int Columns = 200;

    private static readonly byte[] Content = Bytes(Rows * Columns);
    private static readonly ShardManifest Manifest = new()
    {
        Name = "net",
        ChunkBytes = ChunkBytes,
        Tensors =
        [
            new("a", TensorDType.U8, [Rows, Columns], Content.Length, Digest.Of(Content), [.. Content.Chunk(ChunkBytes).Select(chunk => XxHash3.HashToUInt64(chunk))]),
        ],
    };

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public static TheoryData<Fault, bool> Healed => new()
    {
        { Fault.Truncated, false }, { Fault.Stalled, false }, { Fault.Flipped, false }, { Fault.Shifted, false }, { Fault.Busy, false },
        { Fault.Broken, false }, { Fault.Dropped, false }, { Fault.Truncated, true }, { Fault.Flipped, true }, { Fault.Busy, true },
    };

    [Theory]
    [MemberData(nameof(Healed))]
    public async Task AFaultThatPassesIsHealed(Fault fault, bool isBlocking)
    {
        var faults = new ConcurrentQueue<Fault>([fault]);
        await using var server = Start(() => faults.TryDequeue(out var next) ? next : Fault.None);
        await using var checkpoint = await OpenAsync(server, retries: 1);
        var read = new byte[Content.Length];

        await ReadAsync(checkpoint, read, isBlocking);

        Assert.Equal(Content, read);
        Assert.Equal(21, server.Requests.Count);
        Assert.Empty(faults);
    }

    [Fact]
    public async Task ABodyThatBreaksOffIsAskedForFromItsLastByteOn()
    {
        var faults = new ConcurrentQueue<Fault>([Fault.Truncated, Fault.Stalled]);
        await using var server = Start(() => faults.TryDequeue(out var next) ? next : Fault.None);
        await using var checkpoint = await OpenAsync(server, retries: 2, maxRequestBytes: 1 << 20);
        var read = new byte[Content.Length];

        await checkpoint.ReadAsync("a", read, Token);

        Assert.Equal(Content, read);
        Assert.Equal(["0-19999", "10000-19999", "15000-19999"], server.Requests.Select(request => request.Split(' ')[1]));
    }

    [Theory]
    [InlineData(Fault.WrongRange)]
    [InlineData(Fault.Whole)]
    [InlineData(Fault.TooShort)]
    public async Task AnAnswerToAnotherQuestionIsRefused(Fault fault)
    {
        await using var server = Start(() => fault);
        await using var checkpoint = await OpenAsync(server, retries: 0);

        await Assert.ThrowsAsync<InvalidDataException>(() => checkpoint.ReadAsync("a", new byte[Content.Length], Token));
    }

    [Theory]
    [InlineData(Fault.Flipped)]
    [InlineData(Fault.Shifted)]
    public async Task DamageThatStaysIsNamed(Fault fault)
    {
        await using var server = Start(() => fault);
        await using var checkpoint = await OpenAsync(server, retries: 0);

        var corrupt = await Assert.ThrowsAsync<ShardCorruptException>(() => checkpoint.ReadAsync("a", new byte[Content.Length], Token));

        Assert.Equal(("a", StoreLayout.Shard(Manifest.Tensors[0].Digest)), (corrupt.Tensor, corrupt.Blob));
        Assert.NotNull(corrupt.Chunk);
    }

    [Theory]
    [InlineData(0.02)]
    [InlineData(0.2)]
    [InlineData(0.6)]
    public async Task WhateverHappensNoWrongByteIsHandedOut(double share)
    {
        var random = new Random((int)(share * 100));
        Fault[] faults = [.. Enum.GetValues<Fault>().Except([Fault.Stalled, Fault.None])];
        Fault Next()
        {
            lock (random)
            {
                return random.NextDouble() < share ? faults[random.Next(faults.Length)] : Fault.None;
            }
        }

        await using var server = Start(Next);
        await using var checkpoint = await OpenAsync(server, retries: 2);
        var (whole, slice) = (new byte[Content.Length], new byte[Rows * 20]);
        var columns = Content.Chunk(Columns).SelectMany(row => row[100..120]).ToArray();

        // Of the first and the last chunk, of 5 rows each, a part arrives, which nothing can be compared with.
        var wholeChunks = (5 * 20)..^(5 * 20);
        var ended = 0;
        for (var round = 0; round < 30; round++)
        {
            Array.Clear(whole);
            Array.Clear(slice);
            var failed = await Record.ExceptionAsync(() => ReadAsync(checkpoint, whole, isBlocking: round % 2 == 0));
            Assert.True(failed is not null || whole.AsSpan().SequenceEqual(Content));
            failed ??= await Record.ExceptionAsync(() => checkpoint.ReadSliceAsync("a", [Range.All, 100..120], slice, Token));
            Assert.True(failed is not null || slice.AsSpan(wholeChunks).SequenceEqual(columns.AsSpan(wholeChunks)));
            ended += failed is null ? 1 : 0;
        }

        // Some come through where faults are few, and some fail where they are many.
        Assert.True(share > 0.1 ? ended < 30 : ended > 0, $"{ended} of 30 rounds came through");
    }

    private static Task ReadAsync(ShardedCheckpoint checkpoint, byte[] read, bool isBlocking) => isBlocking
        ? Task.Run(() => checkpoint.Read(checkpoint["a"], 0, read, Token), Token)
        : checkpoint.ReadAsync("a", read, Token);

    private static FaultyServer Start(Func<Fault> next)
    {
        var document = Manifest.ToUtf8();
        return new(name => name == StoreLayout.Manifest("net", Digest.Of(document)) ? new(document, document.Length) : new(Content, Content.Length), next);
    }

    private static Task<ShardedCheckpoint> OpenAsync(FaultyServer server, int retries, int maxRequestBytes = 1_000) =>
        ShardedCheckpoint.OpenAsync(
            server.Container(retries, TimeSpan.FromSeconds(2)),
            CheckpointReference.ForDigest("net", Digest.Of(Manifest.ToUtf8())).ToString(),
            new() { MaxRequestBytes = maxRequestBytes, TimeProvider = new ImpatientTime() },
            Token);

    private static byte[] Bytes(int length)
    {
        var bytes = new byte[length];
        new Random(length).NextBytes(bytes);
        return bytes;
    }
}
