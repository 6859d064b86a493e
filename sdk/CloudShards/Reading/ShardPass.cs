using System.Security.Cryptography;
using CloudShards.Formats;

namespace CloudShards;

/// <summary>
/// A shard that is read from its first byte to its last, by one read or by several that follow each other. Its pieces arrive in any order.
/// Those from the store are written to the cache. All are hashed in their order, each by the thread that brought the one that was missing,
/// so that shards are hashed side by side.
/// </summary>
/// <param name="tensor">The tensor.</param>
/// <param name="isHashed">Whether its digest is compared.</param>
/// <param name="fills">Where it is written to, or null.</param>
internal sealed class ShardPass(ShardedTensor tensor, bool isHashed, CacheFills? fills)
{
    private readonly Lock _turn = new();
    private readonly Dictionary<long, (ReadOnlyMemory<byte> Bytes, IDisposable? Loan)> _waiting = [];
    private readonly IncrementalHash? _hash = isHashed ? IncrementalHash.CreateHash(HashAlgorithmName.SHA256) : null;
    private readonly Lazy<CacheFill?> _fill = new(() => fills?.TryBegin(tensor));
    private long _arrived;
    private long _planned;
    private long _hashed;
    private bool _isHashing;

    /// <summary>Whether a read goes on where this pass is; it is then taken as part of it.</summary>
    public bool Continues(in ShardRead read)
    {
        var continues = ReferenceEquals(read.Tensor, tensor) && read.Slice is null && read.Offset == _planned;
        _planned += continues ? read.Length : 0;
        return continues;
    }

    /// <summary>
    /// Takes a piece that has arrived, whose memory must not change until the pass has ended, or has disposed of <paramref name="loan"/>.
    /// </summary>
    /// <exception cref="ShardCorruptException">The pass is complete, and its digest is another than the shard's.</exception>
    public void Add(long offset, ReadOnlyMemory<byte> piece, bool isCached, IDisposable? loan = null)
    {
        if (!isCached)
        {
            _fill.Value?.Write(offset, piece.Span);
        }

        Hash(offset, piece, loan);
        if (Interlocked.Add(ref _arrived, piece.Length) == tensor.Bytes && _fill is { IsValueCreated: true, Value: { } fill })
        {
            fills?.Complete(fill);
        }
    }

    /// <summary>Compares bytes that are all of a shard with its digest.</summary>
    public static void ThrowUnlessWhole(ShardedTensor tensor, Digest found)
    {
        if (found != tensor.Digest)
        {
            throw Errors.ShardCorrupt(tensor, found);
        }
    }

    private void Hash(long offset, ReadOnlyMemory<byte> piece, IDisposable? loan)
    {
        if (_hash is null)
        {
            loan?.Dispose();
            return;
        }

        lock (_turn)
        {
            _waiting.Add(offset, (piece, loan));
            if (_isHashing)
            {
                return;
            }

            _isHashing = true;
        }

        while (TryTakeNext(out var next))
        {
            _hash.AppendData(next.Bytes.Span);
            _hashed += next.Bytes.Length;
            next.Loan?.Dispose();
        }
    }

    private bool TryTakeNext(out (ReadOnlyMemory<byte> Bytes, IDisposable? Loan) piece)
    {
        lock (_turn)
        {
            _isHashing = _waiting.Remove(_hashed, out piece);
            if (!_isHashing && _hashed == tensor.Bytes)
            {
                using (_hash)
                {
                    ThrowUnlessWhole(tensor, new(_hash!.GetHashAndReset()));
                }
            }

            return _isHashing;
        }
    }
}
