using System.Collections.Concurrent;
using System.Collections.Immutable;
using CloudShards.Formats;

namespace CloudShards.Sharding.Tests.Writing;

/// <summary>The budget holds for the process, so nothing may run beside these tests.</summary>
[CollectionDefinition(nameof(MemoryTests), DisableParallelization = true)]
[Collection(nameof(MemoryTests))]
public sealed class MemoryTests
{
    // Beside buffers: digests, requests, tasks, and arrays that are rented in sizes of powers of two.
    private const long SlackBytes = 8 << 20;

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task ShardingAGibibyteAllocatesTheBudgetAtMost()
    {
        // 16 times 1 + 4 + 11 + 48 MiB: grouped, grouped, read at once, read block by block; the last of them once more as a view.
        var tensors = ImmutableArray.CreateBuilder<TensorInfo>();
        var offset = 0L;
        for (var i = 0; i < 64; i++)
        {
            var bytes = (long)((int[])[1, 4, 11, 48])[i % 4] << 20;
            tensors.Add(Descriptions.Tensor($"t{i}", offset, [bytes / sizeof(float)]));
            offset += bytes;
        }

        tensors.AddRange(tensors.Where(tensor => tensor.Bytes == 11 << 20).Take(8).ToArray().Select(Reversed));
        var options = new ShardingOptions();
        var store = new AddressStore();
        var before = GC.GetTotalAllocatedBytes(precise: true);

        var manifest = await ShardingRun.RunAsync(
            new PatternSource(offset), Descriptions.Of(tensors.ToImmutable()), store, Token, options);

        var allocated = GC.GetTotalAllocatedBytes(precise: true) - before;
        Assert.Equal(1L << 30, offset);
        Assert.Equal(72, manifest.Tensors.Length);
        Assert.Equal(manifest.Tensors.Select(tensor => StoreLayout.Shard(tensor.Digest)).Distinct().Order(), store.Names.Order());
        Assert.True(allocated <= options.MemoryBudgetBytes + SlackBytes, $"{allocated:N0} bytes were allocated.");
    }

    private static TensorInfo Reversed(TensorInfo tensor) => tensor with
    {
        Name = tensor.Name + ".big-endian",
        Layout = tensor.Layout with { Transform = ElementTransform.SwapBytes },
    };

    /// <summary>A file of any length whose bytes tell their places, made as they are read.</summary>
    private sealed class PatternSource(long length) : ICheckpointSource
    {
        public string Path => "model.safetensors";

        public long Length => length;

        public string ETag => "0x1";

        public DateTimeOffset UploadedAt => DateTimeOffset.UnixEpoch;

        public ValueTask ReadAsync(long offset, Memory<byte> destination, CancellationToken cancellationToken)
        {
            var bytes = destination.Span;
            for (var filled = 0; filled < bytes.Length;)
            {
                var rest = (int)Math.Min(bytes.Length - filled, (1 << 20) - ((offset + filled) & ((1 << 20) - 1)));
                bytes.Slice(filled, rest).Fill((byte)((offset + filled) >> 20));
                filled += rest;
            }

            return ValueTask.CompletedTask;
        }

        public ValueTask EnsureUnchangedAsync(CancellationToken cancellationToken) => ValueTask.CompletedTask;
    }

    /// <summary>A store that keeps the names alone.</summary>
    private sealed class AddressStore : IShardStore
    {
        private readonly ConcurrentDictionary<string, long> _lengths = [];

        public IEnumerable<string> Names => _lengths.Keys;

        public ValueTask ReadAsync(string name, long offset, Memory<byte> destination, CancellationToken cancellationToken) =>
            throw new NotSupportedException();

        public void Read(string name, long offset, Span<byte> destination, CancellationToken cancellationToken) => throw new NotSupportedException();

        public ValueTask<StoredDocument?> TryReadDocumentAsync(string name, int maxBytes, CancellationToken cancellationToken) =>
            throw new NotSupportedException();

        public ValueTask<StoredBlob?> TryFindAsync(string name, CancellationToken cancellationToken) =>
            ValueTask.FromResult(_lengths.TryGetValue(name, out var length) ? new StoredBlob(name, length, DateTimeOffset.UtcNow) : null);

        public ValueTask<bool> TryCreateAsync(string name, ReadOnlyMemory<byte> content, CancellationToken cancellationToken) =>
            ValueTask.FromResult(_lengths.TryAdd(name, content.Length));

        public async ValueTask<bool> TryCreateAsync(
            string name, IAsyncEnumerable<ReadOnlyMemory<byte>> blocks, CancellationToken cancellationToken)
        {
            var length = 0L;
            await foreach (var block in blocks.WithCancellation(cancellationToken))
            {
                length += block.Length;
            }

            return _lengths.TryAdd(name, length);
        }

        public ValueTask<bool> TryReplaceAsync(
            string name, ReadOnlyMemory<byte> content, string? version, CancellationToken cancellationToken) => throw new NotSupportedException();

        public IAsyncEnumerable<StoredBlob> ListAsync(string prefix, CancellationToken cancellationToken) => throw new NotSupportedException();

        public ValueTask<bool> TryRenewAsync(string name, CancellationToken cancellationToken) => throw new NotSupportedException();

        public ValueTask<bool> TryDeleteAsync(string name, DateTimeOffset unmodifiedSince, CancellationToken cancellationToken) =>
            throw new NotSupportedException();
    }
}
