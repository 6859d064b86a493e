using System.Runtime.CompilerServices;
using CloudShards.Formats;

namespace CloudShards;

/// <summary>
/// Writes shards under their digests. A shard that is there already is not written again. Content that is given by a delegate is read once
/// where it fits in a buffer, else twice: to learn its digest, and to send it. Memory: <see cref="ShardWriterOptions.MaxBuffers"/> buffers
/// of <see cref="ShardWriterOptions.MaxBufferedBytes"/>. Calls may run at once.
/// </summary>
internal sealed class ShardWriter(IShardStore store, ShardWriterOptions options)
{
    /// <summary>A shard that was last changed longer ago than this is renewed when a writer finds and reuses it (FORMAT.md, "Garbage").</summary>
    public static readonly TimeSpan RenewAfter = TimeSpan.FromDays(1);

    // Below this a futile write costs less than the question whether it is needed.
    private const int ProbedBytes = 1 << 20;
    private const int MaxAttempts = 3;

    private readonly BufferPool _buffers = new(Math.Max(options.MaxBufferedBytes, 2 * options.BlockBytes), options.MaxBuffers);

    /// <summary>Waits for one of the writer's buffers, for content that is brought into memory only to be written.</summary>
    public ValueTask<BufferPool.Lease> RentAsync(CancellationToken cancellationToken) => _buffers.RentAsync(cancellationToken);

    /// <summary>Lets go of the buffers that nobody uses.</summary>
    public void ReleaseBuffers() => _buffers.Release();

    /// <summary>Writes content that is in memory.</summary>
    /// <exception cref="InvalidDataException">The store has a shard of that digest and another length.</exception>
    public async Task<WrittenShard> WriteAsync(ReadOnlyMemory<byte> content, CancellationToken cancellationToken)
    {
        using var hasher = new ShardHasher(options.ChunkBytes);
        for (var rest = content; !rest.IsEmpty; rest = rest[Math.Min(options.BlockBytes, rest.Length)..])
        {
            cancellationToken.ThrowIfCancellationRequested();
            hasher.Append(rest[..Math.Min(options.BlockBytes, rest.Length)].Span);
        }

        var sums = hasher.Finish();
        return content.Length <= options.MaxBufferedBytes
            ? await CreateAsync(sums, content, cancellationToken).ConfigureAwait(false)
            : await CreateAsync(sums, Blocks(content), cancellationToken).ConfigureAwait(false);
    }

    /// <summary>Writes <paramref name="length"/> bytes of content that a delegate gives.</summary>
    /// <exception cref="InvalidDataException">
    /// The content changed while it was written, or the store has a shard of that digest and another length.
    /// </exception>
    public async Task<WrittenShard> WriteAsync(long length, ShardContent content, CancellationToken cancellationToken)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(length);
        using var buffer = await _buffers.RentAsync(cancellationToken).ConfigureAwait(false);
        var sums = await HashAsync(length, content, buffer.Memory, cancellationToken).ConfigureAwait(false);
        return length <= options.MaxBufferedBytes
            ? await CreateAsync(sums, buffer.Memory[..(int)length], cancellationToken).ConfigureAwait(false)
            : await CreateAsync(sums, Blocks(sums, content, buffer.Memory, cancellationToken), cancellationToken).ConfigureAwait(false);
    }

    /// <summary>Reads and hashes content without writing it.</summary>
    public async Task<ShardSums> HashAsync(long length, ShardContent content, CancellationToken cancellationToken)
    {
        using var buffer = await _buffers.RentAsync(cancellationToken).ConfigureAwait(false);
        return await HashAsync(length, content, buffer.Memory, cancellationToken).ConfigureAwait(false);
    }

    /// <summary>Writes content that was hashed before, in blocks.</summary>
    /// <exception cref="InvalidDataException">
    /// The content changed since, or the store has a shard of that digest and another length.
    /// </exception>
    public async Task<WrittenShard> WriteAsync(ShardSums sums, ShardContent content, CancellationToken cancellationToken)
    {
        using var buffer = await _buffers.RentAsync(cancellationToken).ConfigureAwait(false);
        return await CreateAsync(sums, Blocks(sums, content, buffer.Memory, cancellationToken), cancellationToken).ConfigureAwait(false);
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

    private async Task<WrittenShard> CreateAsync(ShardSums sums, IAsyncEnumerable<ReadOnlyMemory<byte>> blocks, CancellationToken cancellationToken)
    {
        var name = StoreLayout.Shard(sums.Digest);
        ValueTask<bool> Create() => store.TryCreateAsync(name, blocks, cancellationToken);
        return new(sums, await CreateAsync(name, sums.Bytes, true, Create, cancellationToken).ConfigureAwait(false));
    }

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

    // Content that fits in the buffer stays in it. The next block is read while this one is hashed.
    private async Task<ShardSums> HashAsync(long length, ShardContent content, Memory<byte> buffer, CancellationToken cancellationToken)
    {
        using var hasher = new ShardHasher(options.ChunkBytes);
        await foreach (var block in ReadBlocksAsync(length, content, buffer, cancellationToken).ConfigureAwait(false))
        {
            hasher.Append(block.Span);
        }

        return hasher.Finish();
    }

    private async IAsyncEnumerable<ReadOnlyMemory<byte>> Blocks(
        ShardSums sums, ShardContent content, Memory<byte> buffer, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        using var hasher = new ShardHasher(options.ChunkBytes);
        await foreach (var block in ReadBlocksAsync(sums.Bytes, content, buffer, cancellationToken).ConfigureAwait(false))
        {
            hasher.Append(block.Span);
            yield return block;
        }

        // Thrown before the end of the enumeration, so that nothing is committed.
        if (hasher.Finish().Digest is var digest && digest != sums.Digest)
        {
            throw Errors.ContentChanged(sums.Digest, digest);
        }
    }

    // A block is valid until the next is asked for, which is being read by then.
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

    private async IAsyncEnumerable<ReadOnlyMemory<byte>> Blocks(ReadOnlyMemory<byte> content)
    {
        await ValueTask.CompletedTask.ConfigureAwait(false);
        while (!content.IsEmpty)
        {
            var block = content[..Math.Min(options.BlockBytes, content.Length)];
            content = content[block.Length..];
            yield return block;
        }
    }
}

/// <summary>How shards are written.</summary>
internal sealed record ShardWriterOptions
{
    /// <summary>Bytes that one chunk sum covers.</summary>
    public int ChunkBytes { get; init; } = ShardManifest.DefaultChunkBytes;

    /// <summary>Bytes up to which content is read once, held and created in one write. Default 32 MiB.</summary>
    public int MaxBufferedBytes { get; init; } = 32 << 20;

    /// <summary>Bytes that are read, hashed and sent at a time. Default 8 MiB: the service is fastest with blocks above 4 MiB.</summary>
    public int BlockBytes { get; init; } = 8 << 20;

    /// <summary>Writes that may hold a buffer at once. Default 4.</summary>
    public int MaxBuffers { get; init; } = 4;

    /// <summary>The clock by which shards age.</summary>
    public TimeProvider Clock { get; init; } = TimeProvider.System;
}

/// <summary>A shard that is in the store.</summary>
/// <param name="Sums">What the manifest says of it.</param>
/// <param name="Created">Whether this call brought it there.</param>
internal sealed record WrittenShard(ShardSums Sums, bool Created);
