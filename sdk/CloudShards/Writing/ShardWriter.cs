using System.Runtime.CompilerServices;
using CloudShards.Formats;

namespace CloudShards;

/// <summary>
/// Writes shards under their digests. A shard that is there already is not written again. Content that is not in memory is read once where it fits in
/// the buffers, else twice: to learn its digest, and to send it. Calls may run at once, and share <see cref="ShardWriterOptions.BufferBytes"/>.
/// </summary>
internal sealed class ShardWriter(IShardStore store, ShardWriterOptions options)
{
    /// <summary>A shard that was last changed longer ago than this is renewed when a writer finds and reuses it (FORMAT.md, "Garbage").</summary>
    public static readonly TimeSpan RenewAfter = TimeSpan.FromDays(1);

    // Below this a futile write costs less than the question whether it is needed.
    private const int ProbedBytes = 1 << 20;
    private const int MaxAttempts = 3;

    private readonly BufferPool _buffers = new(Math.Max(options.BufferBytes, 2 * options.BlockBytes));

    /// <summary>The longest buffer that there is.</summary>
    public int MaxBufferBytes => _buffers.Bytes;

    // One block is read while another is hashed or sent.
    private int RingBytes => 2 * options.BlockBytes;

    /// <summary>Waits for a buffer, for content that is brought into memory only to be written. Who has one must not wait for another.</summary>
    public ValueTask<BufferPool.Lease> RentAsync(int length, CancellationToken cancellationToken) => _buffers.RentAsync(length, cancellationToken);

    /// <summary>Lets go of the buffers, unless somebody uses one.</summary>
    public void ReleaseBuffers() => _buffers.Release();

    /// <summary>Writes content that is in memory.</summary>
    /// <exception cref="InvalidDataException">The store has a shard of that digest and another length.</exception>
    public async Task<WrittenShard> WriteAsync(ReadOnlyMemory<byte> content, CancellationToken cancellationToken)
    {
        using var hasher = new ShardHasher(options.ChunkBytes);
        foreach (var block in Cut(content))
        {
            cancellationToken.ThrowIfCancellationRequested();
            hasher.Append(block.Span);
        }

        return await CreateAsync(hasher.Finish(), content, cancellationToken).ConfigureAwait(false);
    }

    /// <summary>Writes <paramref name="length"/> bytes of content that a delegate gives.</summary>
    /// <exception cref="InvalidDataException">
    /// The content changed while it was written, or the store has a shard of that digest and another length.
    /// </exception>
    public async Task<WrittenShard> WriteAsync(long length, ShardContent content, CancellationToken cancellationToken)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(length);
        var isHeld = length <= MaxBufferBytes;
        using var buffer = await _buffers.RentAsync(isHeld ? (int)length : RingBytes, cancellationToken).ConfigureAwait(false);
        IAsyncEnumerable<ReadOnlyMemory<byte>> Read() => ReadBlocksAsync(length, content, buffer.Memory, cancellationToken);
        var sums = await HashAsync(Read()).ConfigureAwait(false);
        return isHeld
            ? await CreateAsync(sums, buffer.Memory, cancellationToken).ConfigureAwait(false)
            : await WriteAsync(sums, Read(), cancellationToken).ConfigureAwait(false);
    }

    /// <summary>Reads and hashes content without writing it.</summary>
    public async Task<ShardSums> HashAsync(long length, ShardContent content, CancellationToken cancellationToken)
    {
        using var buffer = await _buffers.RentAsync((int)Math.Min(length, RingBytes), cancellationToken).ConfigureAwait(false);
        return await HashAsync(ReadBlocksAsync(length, content, buffer.Memory, cancellationToken)).ConfigureAwait(false);
    }

    /// <summary>Hashes content that is given block by block.</summary>
    public async Task<ShardSums> HashAsync(IAsyncEnumerable<ReadOnlyMemory<byte>> blocks)
    {
        using var hasher = new ShardHasher(options.ChunkBytes);
        await foreach (var block in blocks.ConfigureAwait(false))
        {
            hasher.Append(block.Span);
        }

        return hasher.Finish();
    }

    /// <summary>Writes content that was hashed before, in blocks.</summary>
    /// <exception cref="InvalidDataException">
    /// The content changed since, or the store has a shard of that digest and another length.
    /// </exception>
    public async Task<WrittenShard> WriteAsync(ShardSums sums, ShardContent content, CancellationToken cancellationToken)
    {
        using var buffer = await _buffers.RentAsync((int)Math.Min(sums.Bytes, RingBytes), cancellationToken).ConfigureAwait(false);
        return await WriteAsync(sums, ReadBlocksAsync(sums.Bytes, content, buffer.Memory, cancellationToken), cancellationToken).ConfigureAwait(false);
    }

    /// <summary>Writes content that was hashed before and is given block by block, each valid until the next is asked for.</summary>
    /// <exception cref="InvalidDataException">
    /// The content changed since, or the store has a shard of that digest and another length.
    /// </exception>
    public async Task<WrittenShard> WriteAsync(ShardSums sums, IAsyncEnumerable<ReadOnlyMemory<byte>> blocks, CancellationToken cancellationToken)
    {
        var name = StoreLayout.Shard(sums.Digest);
        ValueTask<bool> Create() => store.TryCreateAsync(name, CheckedAsync(sums, blocks), cancellationToken);
        return new(sums, await CreateAsync(name, sums.Bytes, true, Create, cancellationToken).ConfigureAwait(false));
    }

    /// <summary>Writes a pack: shards back to back.</summary>
    /// <exception cref="InvalidDataException">The store has a pack of that digest and another length.</exception>
    public async Task<Digest> WritePackAsync(ReadOnlyMemory<byte> content, CancellationToken cancellationToken)
    {
        var digest = Digest.Of(content.Span);
        await CreateAsync(StoreLayout.Pack(digest), content, cancellationToken).ConfigureAwait(false);
        return digest;
    }

    /// <summary>Whether the store has a shard already. One that is there to stay for a while is renewed where it must be.</summary>
    /// <exception cref="InvalidDataException">It has one of another length.</exception>
    public Task<bool> ExistsAsync(ShardSums sums, CancellationToken cancellationToken) =>
        ExistsAsync(StoreLayout.Shard(sums.Digest), sums.Bytes, cancellationToken);

    /// <summary>Whether the store has a pack already. One that is there to stay for a while is renewed where it must be.</summary>
    /// <exception cref="InvalidDataException">It has one of another length.</exception>
    public Task<bool> PackExistsAsync(Digest pack, long bytes, CancellationToken cancellationToken) => ExistsAsync(StoreLayout.Pack(pack), bytes, cancellationToken);

    private async Task<bool> ExistsAsync(string name, long bytes, CancellationToken cancellationToken) =>
        await store.TryFindAsync(name, cancellationToken).ConfigureAwait(false) switch
        {
            null => false,
            { Bytes: var found } when found != bytes => throw Errors.ShardLength(name, bytes, found),
            { ModifiedAt: var modifiedAt } when modifiedAt >= options.Clock.GetUtcNow() - RenewAfter => true,
            _ => await store.TryRenewAsync(name, cancellationToken).ConfigureAwait(false),
        };

    private async Task<WrittenShard> CreateAsync(ShardSums sums, ReadOnlyMemory<byte> content, CancellationToken cancellationToken) =>
        new(sums, await CreateAsync(StoreLayout.Shard(sums.Digest), content, cancellationToken).ConfigureAwait(false));

    private Task<bool> CreateAsync(string name, ReadOnlyMemory<byte> content, CancellationToken cancellationToken) => CreateAsync(
        name, content.Length, content.Length >= ProbedBytes, () => store.TryCreateAsync(name, content, cancellationToken), cancellationToken);

    // What was there when it was created and is not there when it is looked for was swept in between; the next sweep is a day away.
    private async Task<bool> CreateAsync(string name, long bytes, bool isProbed, Func<ValueTask<bool>> create, CancellationToken cancellationToken)
    {
        for (var attempt = 0; attempt < MaxAttempts; attempt++)
        {
            if ((isProbed || attempt > 0) && await ExistsAsync(name, bytes, cancellationToken).ConfigureAwait(false))
            {
                return false;
            }

            if (await create().ConfigureAwait(false))
            {
                return true;
            }
        }

        throw Errors.ShardNeitherThereNorNot(name);
    }

    private async IAsyncEnumerable<ReadOnlyMemory<byte>> CheckedAsync(ShardSums sums, IAsyncEnumerable<ReadOnlyMemory<byte>> blocks)
    {
        using var hasher = new ShardHasher(options.ChunkBytes);
        await foreach (var content in blocks.ConfigureAwait(false))
        {
            foreach (var block in Cut(content))
            {
                hasher.Append(block.Span);
                yield return block;
            }
        }

        // Thrown before the end of the enumeration, so that nothing is committed.
        if (hasher.Finish().Digest is var digest && digest != sums.Digest)
        {
            throw Errors.ContentChanged(sums.Digest, digest);
        }
    }

    private IEnumerable<ReadOnlyMemory<byte>> Cut(ReadOnlyMemory<byte> content)
    {
        for (var at = 0; at < content.Length; at += Math.Min(options.BlockBytes, content.Length - at))
        {
            yield return content.Slice(at, Math.Min(options.BlockBytes, content.Length - at));
        }
    }

    // Content that fits in the buffer stays in it. Else a block is valid until the next is asked for, which is being read by then.
    private async IAsyncEnumerable<ReadOnlyMemory<byte>> ReadBlocksAsync(
        long length, ShardContent content, Memory<byte> buffer, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        var blockBytes = options.BlockBytes;
        var windows = buffer.Length / blockBytes;
        Memory<byte> Window(long offset) => length <= buffer.Length
            ? buffer[(int)offset..(int)Math.Min(offset + blockBytes, length)]
            : buffer.Slice((int)(offset / blockBytes % windows) * blockBytes, (int)Math.Min(blockBytes, length - offset));

        var next = length == 0 ? Task.CompletedTask : content(0, Window(0), cancellationToken).AsTask();
        try
        {
            for (var offset = 0L; offset < length; offset += blockBytes)
            {
                await next.ConfigureAwait(false);
                var following = offset + blockBytes;
                next = following < length ? content(following, Window(following), cancellationToken).AsTask() : Task.CompletedTask;
                yield return Window(offset);
            }
        }
        finally
        {
            // The buffer is given back only when nobody writes to it any more.
            await next.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
    }
}

/// <summary>How shards are written.</summary>
internal sealed record ShardWriterOptions
{
    /// <summary>Bytes that one chunk sum covers.</summary>
    public int ChunkBytes { get; init; } = ShardManifest.DefaultChunkBytes;

    /// <summary>Bytes of all buffers together, and so the longest content that is read once and held. At least two blocks are taken. Default 128 MiB.</summary>
    public int BufferBytes { get; init; } = 128 << 20;

    /// <summary>Bytes that are read, hashed and sent at a time. Default 8 MiB: the service is fastest with blocks above 4 MiB.</summary>
    public int BlockBytes { get; init; } = 8 << 20;

    /// <summary>The clock by which shards age.</summary>
    public TimeProvider Clock { get; init; } = TimeProvider.System;
}

/// <summary>A shard that is in the store.</summary>
/// <param name="Sums">What the manifest says of it.</param>
/// <param name="Created">Whether this call brought it there.</param>
internal sealed record WrittenShard(ShardSums Sums, bool Created);
