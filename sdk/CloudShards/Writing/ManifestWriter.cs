using System.Buffers;
using System.Runtime.CompilerServices;
using System.Security.Cryptography;
using CloudShards.Formats;

namespace CloudShards;

/// <summary>Writes a manifest under its digest. One of a quarter of a million tensors has 50 MB, which are never in one piece of memory.</summary>
internal sealed class ManifestWriter : IBufferWriter<byte>
{
    // Below the size from which the collector sets memory apart and seldom takes it back.
    private const int SegmentBytes = 64 << 10;
    private const int BlockBytes = 8 << 20;
    private const int MaxAttempts = 3;

    private readonly List<ReadOnlyMemory<byte>> _segments = [];
    private byte[] _segment = [];
    private int _filled;
    private long _bytes;

    private ManifestWriter()
    {
    }

    /// <summary>Writes a manifest, unless the store has it.</summary>
    /// <returns>Its digest.</returns>
    /// <exception cref="InvalidDataException">The store has one of that digest and another length.</exception>
    public static async Task<Digest> WriteAsync(IShardStore store, ShardManifest manifest, CancellationToken cancellationToken)
    {
        var document = new ManifestWriter();
        manifest.WriteTo(document);
        document.EndSegment();
        var digest = document.Hash();
        var name = StoreLayout.Manifest(manifest.Name, digest);
        await document.CreateAsync(store, name, cancellationToken).ConfigureAwait(false);
        return digest;
    }

    public void Advance(int count) => _filled += count;

    public Memory<byte> GetMemory(int sizeHint = 0)
    {
        if (_segment.Length - _filled < Math.Max(1, sizeHint))
        {
            EndSegment();
            (_segment, _filled) = (new byte[Math.Max(SegmentBytes, sizeHint)], 0);
        }

        return _segment.AsMemory(_filled);
    }

    public Span<byte> GetSpan(int sizeHint = 0) => GetMemory(sizeHint).Span;

    // A small one is asked for only where it could not be created: to create it costs no more than to ask.
    private async Task CreateAsync(IShardStore store, string name, CancellationToken cancellationToken)
    {
        var isSmall = _bytes <= BlockBytes;
        for (var attempt = 0; attempt < MaxAttempts; attempt++)
        {
            if ((!isSmall || attempt > 0) && await store.TryFindAsync(name, cancellationToken).ConfigureAwait(false) is { } found)
            {
                if (found.Bytes != _bytes)
                {
                    throw Errors.ShardLength(name, _bytes, found.Bytes);
                }

                return;
            }

            var isCreated = isSmall
                ? await store.TryCreateAsync(name, Whole(), cancellationToken).ConfigureAwait(false)
                : await store.TryCreateAsync(name, Blocks(cancellationToken), cancellationToken).ConfigureAwait(false);
            if (isCreated)
            {
                return;
            }
        }

        throw Errors.ShardNeitherThereNorNot(name);
    }

    private void EndSegment()
    {
        if (_filled > 0)
        {
            _segments.Add(_segment.AsMemory(0, _filled));
            _bytes += _filled;
        }

        (_segment, _filled) = ([], 0);
    }

    private Digest Hash()
    {
        using var sha256 = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        foreach (var segment in _segments)
        {
            sha256.AppendData(segment.Span);
        }

        return new(sha256.GetHashAndReset());
    }

    private ReadOnlyMemory<byte> Whole()
    {
        var whole = new byte[_bytes];
        var at = 0;
        foreach (var segment in _segments)
        {
            segment.CopyTo(whole.AsMemory(at));
            at += segment.Length;
        }

        return whole;
    }

    private async IAsyncEnumerable<ReadOnlyMemory<byte>> Blocks([EnumeratorCancellation] CancellationToken cancellationToken)
    {
        var (block, filled) = (new byte[BlockBytes], 0);
        foreach (var segment in _segments)
        {
            if (filled + segment.Length > block.Length)
            {
                yield return block.AsMemory(0, filled);
                filled = 0;
            }

            cancellationToken.ThrowIfCancellationRequested();
            segment.CopyTo(block.AsMemory(filled));
            filled += segment.Length;
        }

        await ValueTask.CompletedTask.ConfigureAwait(false);
        yield return block.AsMemory(0, filled);
    }
}
