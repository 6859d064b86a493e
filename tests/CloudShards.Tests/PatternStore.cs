using System.Buffers;
using System.Buffers.Binary;
using System.IO.Hashing;
using System.Security.Cryptography;
using CloudShards.Formats;

namespace CloudShards.Tests;

/// <summary>A store of one checkpoint <c>net</c> with one tensor <c>a</c>, whose bytes are made when they are read: each page says where it is.</summary>
internal sealed class PatternStore : IShardStore
{
    public const int ChunkBytes = 8 << 20;

    private const int PageBytes = 4 << 10;
    private const int PieceBytes = 128 << 10;

    private static readonly byte[] Noise = new byte[ChunkBytes];

    private readonly byte[] _manifest;

    static PatternStore() => new Random(1).NextBytes(Noise);

    /// <summary>Makes the bytes once, for their sums.</summary>
    public PatternStore(long bytes)
    {
        using var sha256 = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        var chunks = new List<ulong>();
        var piece = new byte[ChunkBytes];
        for (var offset = 0L; offset < bytes; offset += ChunkBytes)
        {
            var chunk = piece.AsSpan(0, (int)Math.Min(ChunkBytes, bytes - offset));
            Fill(offset, chunk);
            chunks.Add(XxHash3.HashToUInt64(chunk));
            sha256.AppendData(chunk);
        }

        var tensor = new ShardedTensor("a", TensorDType.I8, [bytes], bytes, new(sha256.GetHashAndReset()), [.. chunks]);
        _manifest = new ShardManifest { Name = "net", ChunkBytes = ChunkBytes, Tensors = [tensor] }.ToUtf8();
    }

    /// <summary>Called before a range is read.</summary>
    public Func<long, CancellationToken, Task> Reading { get; set; } = (_, _) => Task.CompletedTask;

    public Task<ShardedCheckpoint> OpenAsync(ShardedCheckpointOptions options) => ShardedCheckpoint.OpenFromAsync(
        this, CheckpointReference.ForDigest("net", Digest.Of(_manifest)).ToString(), options, TestContext.Current.CancellationToken);

    /// <summary>Whether memory has the tensor's bytes from a page on.</summary>
    public static bool IsThere(long offset, ReadOnlySpan<byte> found)
    {
        var expected = new byte[Math.Min(found.Length, ChunkBytes)];
        for (var at = 0; at < found.Length; at += expected.Length)
        {
            var part = expected.AsSpan(0, Math.Min(expected.Length, found.Length - at));
            Fill(offset + at, part);
            if (!part.SequenceEqual(found.Slice(at, part.Length)))
            {
                return false;
            }
        }

        return true;
    }

    // No read begins but between chunks, and no piece but between pages.
    private static void Fill(long offset, Span<byte> destination)
    {
        Noise.AsSpan((int)(offset % ChunkBytes), destination.Length).CopyTo(destination);
        for (var page = 0; page + sizeof(long) <= destination.Length; page += PageBytes)
        {
            BinaryPrimitives.WriteInt64LittleEndian(destination[page..], offset + page);
        }
    }

    public async ValueTask ReadAsync(string name, long offset, Memory<byte> destination, CancellationToken cancellationToken)
    {
        await Reading(offset, cancellationToken);
        Fill(offset, destination.Span);
    }

    public async ValueTask ReadAsync(string name, long offset, int length, Action<ReadOnlySpan<byte>> take, CancellationToken cancellationToken)
    {
        await Reading(offset, cancellationToken);
        var piece = ArrayPool<byte>.Shared.Rent(PieceBytes);
        for (var at = 0; at < length; at += PieceBytes)
        {
            var part = piece.AsSpan(0, Math.Min(PieceBytes, length - at));
            Fill(offset + at, part);
            take(part);
        }

        ArrayPool<byte>.Shared.Return(piece);
    }

    public void Read(string name, long offset, Span<byte> destination, CancellationToken cancellationToken) => Fill(offset, destination);

    public ValueTask<StoredDocument?> TryReadDocumentAsync(string name, int maxBytes, CancellationToken cancellationToken) =>
        new(new StoredDocument(_manifest, ""));

    public ValueTask<StoredBlob?> TryFindAsync(string name, CancellationToken cancellationToken) => throw new NotSupportedException();

    public IAsyncEnumerable<StoredBlob> ListAsync(string prefix, CancellationToken cancellationToken) => throw new NotSupportedException();

    public ValueTask<bool> TryCreateAsync(string name, ReadOnlyMemory<byte> content, CancellationToken cancellationToken) =>
        throw new NotSupportedException();

    public ValueTask<bool> TryCreateAsync(string name, IAsyncEnumerable<ReadOnlyMemory<byte>> blocks, CancellationToken cancellationToken) =>
        throw new NotSupportedException();

    public ValueTask<bool> TryReplaceAsync(string name, ReadOnlyMemory<byte> content, string? version, CancellationToken cancellationToken) =>
        throw new NotSupportedException();

    public ValueTask<bool> TryRenewAsync(string name, CancellationToken cancellationToken) => throw new NotSupportedException();

    public ValueTask<bool> TryDeleteAsync(string name, DateTimeOffset unmodifiedSince, CancellationToken cancellationToken) =>
        throw new NotSupportedException();
}
