using System.Buffers;
using System.IO.Pipelines;
using System.Runtime.CompilerServices;
using System.Security.Cryptography;
using System.Text.Json;
using CloudShards.Formats;

namespace CloudShards;

/// <summary>
/// Writes a manifest under its digest. One of a quarter of a million tensors has 70 MB, which are never in memory together: the document is made
/// once to be hashed, and once more to be written.
/// </summary>
internal static class ManifestWriter
{
    private const int BlockBytes = 8 << 20;
    private const int MaxAttempts = 3;

    /// <summary>Writes a manifest, unless the store has it.</summary>
    /// <returns>Its digest.</returns>
    /// <exception cref="InvalidDataException">The store has one of that digest and another length.</exception>
    public static async Task<Digest> WriteAsync(IShardStore store, ShardManifest manifest, CancellationToken cancellationToken)
    {
        var (digest, bytes) = Hash(manifest);
        var name = StoreLayout.Manifest(manifest.Name, digest);

        // A small one is asked for only where it could not be created: to create it costs no more than to ask.
        var isSmall = bytes <= BlockBytes;
        for (var attempt = 0; attempt < MaxAttempts; attempt++)
        {
            if ((!isSmall || attempt > 0) && await store.TryFindAsync(name, cancellationToken).ConfigureAwait(false) is { } found)
            {
                return found.Bytes == bytes ? digest : throw Errors.ShardLength(name, bytes, found.Bytes);
            }

            var isCreated = isSmall
                ? await store.TryCreateAsync(name, manifest.ToUtf8(), cancellationToken).ConfigureAwait(false)
                : await store.TryCreateAsync(name, Blocks(manifest, cancellationToken), cancellationToken).ConfigureAwait(false);
            if (isCreated)
            {
                return digest;
            }
        }

        throw Errors.ShardNeitherThereNorNot(name);
    }

    private static (Digest Digest, long Bytes) Hash(ShardManifest manifest)
    {
        using var hashing = new HashingWriter();
        manifest.WriteTo(hashing);
        return hashing.Finish();
    }

    private static async IAsyncEnumerable<ReadOnlyMemory<byte>> Blocks(ShardManifest manifest, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        var pipe = new Pipe();
        var making = MakeAsync(manifest, pipe.Writer, cancellationToken);
        try
        {
            var document = pipe.Reader.AsStream(leaveOpen: true);
            var block = new byte[BlockBytes];
            for (int length; (length = await document.ReadAtLeastAsync(block, BlockBytes, false, cancellationToken).ConfigureAwait(false)) > 0;)
            {
                yield return block.AsMemory(0, length);
            }
        }
        finally
        {
            await pipe.Reader.CompleteAsync().ConfigureAwait(false);
            await making.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
    }

    // A failure reaches the reader of the pipe.
    private static async Task MakeAsync(ShardManifest manifest, PipeWriter document, CancellationToken cancellationToken)
    {
        try
        {
            await JsonSerializer.SerializeAsync(document, manifest, ShardManifest.Json, cancellationToken).ConfigureAwait(false);
            await document.CompleteAsync().ConfigureAwait(false);
        }
        catch (Exception e)
        {
            await document.CompleteAsync(e).ConfigureAwait(false);
            throw;
        }
    }

    /// <summary>Hashes what is written, and keeps none of it.</summary>
    private sealed class HashingWriter : IBufferWriter<byte>, IDisposable
    {
        private const int WindowBytes = 64 << 10;

        private readonly IncrementalHash _sha256 = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        private byte[] _window = new byte[WindowBytes];
        private int _filled;
        private long _bytes;

        public void Advance(int count) => _filled += count;

        public Memory<byte> GetMemory(int sizeHint = 0)
        {
            if (_window.Length - _filled < Math.Max(1, sizeHint))
            {
                Flush();
                _window = sizeHint > _window.Length ? new byte[sizeHint] : _window;
            }

            return _window.AsMemory(_filled);
        }

        public Span<byte> GetSpan(int sizeHint = 0) => GetMemory(sizeHint).Span;

        public (Digest Digest, long Bytes) Finish()
        {
            Flush();
            return (new(_sha256.GetHashAndReset()), _bytes);
        }

        public void Dispose() => _sha256.Dispose();

        private void Flush()
        {
            _sha256.AppendData(_window.AsSpan(0, _filled));
            _bytes += _filled;
            _filled = 0;
        }
    }
}
