using System.Diagnostics.CodeAnalysis;
using System.Security.Cryptography;

namespace CloudShards.Sharding;

/// <summary>The MD5 of each block of a shard, of bytes in any pieces: what the service checks a block by that it copies itself.</summary>
/// <param name="blockBytes">Bytes of each block; the last may be shorter.</param>
[SuppressMessage("Security", "CA5351", Justification = "The service knows no other checksum for a source range than MD5 and CRC-64; it guards against damage, not attacks.")]
internal sealed class BlockHashes(int blockBytes) : IDisposable
{
    private readonly IncrementalHash _md5 = IncrementalHash.CreateHash(HashAlgorithmName.MD5);
    private readonly List<byte[]> _blocks = [];
    private long _bytes;

    /// <summary>Takes the next bytes.</summary>
    public void Append(ReadOnlySpan<byte> bytes)
    {
        while (!bytes.IsEmpty)
        {
            var rest = blockBytes - (int)(_bytes % blockBytes);
            var piece = bytes[..Math.Min(bytes.Length, rest)];
            _md5.AppendData(piece);
            _bytes += piece.Length;
            bytes = bytes[piece.Length..];
            if (piece.Length == rest)
            {
                _blocks.Add(_md5.GetHashAndReset());
            }
        }
    }

    /// <summary>The hashes of all blocks; nothing can be appended afterwards.</summary>
    public IReadOnlyList<byte[]> Finish()
    {
        if (_bytes % blockBytes != 0)
        {
            _blocks.Add(_md5.GetHashAndReset());
        }

        return _blocks;
    }

    public void Dispose() => _md5.Dispose();
}
