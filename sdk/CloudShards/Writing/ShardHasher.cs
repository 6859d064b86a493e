using System.Collections.Immutable;
using System.IO.Hashing;
using System.Security.Cryptography;
using CloudShards.Formats;

namespace CloudShards;

/// <summary>The SHA-256 and the chunk sums of a shard, of bytes in any pieces.</summary>
internal sealed class ShardHasher(int chunkBytes) : IDisposable
{
    // Both sums take a piece while it is in the processor's cache.
    private const int PieceBytes = 64 << 10;

    private readonly IncrementalHash _sha256 = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
    private readonly XxHash3 _chunk = new();
    private readonly ImmutableArray<ulong>.Builder _chunks = ImmutableArray.CreateBuilder<ulong>();
    private long _bytes;

    /// <summary>Takes the next bytes.</summary>
    public void Append(ReadOnlySpan<byte> bytes)
    {
        while (!bytes.IsEmpty)
        {
            var rest = chunkBytes - (int)(_bytes % chunkBytes);
            var piece = bytes[..Math.Min(Math.Min(bytes.Length, PieceBytes), rest)];
            _sha256.AppendData(piece);
            _chunk.Append(piece);
            _bytes += piece.Length;
            bytes = bytes[piece.Length..];
            if (piece.Length == rest)
            {
                EndChunk();
            }
        }
    }

    /// <summary>The sums of all bytes; nothing can be appended afterwards.</summary>
    public ShardSums Finish()
    {
        if (_bytes % chunkBytes != 0)
        {
            EndChunk();
        }

        Span<byte> hash = stackalloc byte[Digest.HashBytes];
        _sha256.GetHashAndReset(hash);
        return new(new(hash), _chunks.ToImmutable(), _bytes);
    }

    public void Dispose() => _sha256.Dispose();

    private void EndChunk()
    {
        _chunks.Add(_chunk.GetCurrentHashAsUInt64());
        _chunk.Reset();
    }
}

/// <summary>What a manifest says of a shard's bytes.</summary>
/// <param name="Digest">Their SHA-256.</param>
/// <param name="Chunks">The XXH3 of each chunk.</param>
/// <param name="Bytes">How many there are.</param>
internal sealed record ShardSums(Digest Digest, ImmutableArray<ulong> Chunks, long Bytes);
