using System.Collections.Immutable;
using CloudShards.Formats;

namespace CloudShards;

/// <summary>
/// Writes a checkpoint tensor by tensor. Nobody sees any of it before <see cref="PublishAsync"/>. Tensors may be written at once; the
/// manifest lists them in the order in which the calls began. Content that is in memory already is not copied; beside it a writer holds at
/// most 128 MiB.
/// </summary>
public sealed class CheckpointWriter
{
    private readonly IShardStore _store;
    private readonly string _name;
    private readonly CheckpointWriterOptions _options;
    private readonly ShardWriter _shards;
    private readonly Lock _turn = new();
    private readonly OrderedDictionary<string, ShardedTensor?> _tensors = new(StringComparer.Ordinal);

    /// <summary>A writer of a new version of a checkpoint.</summary>
    /// <param name="store">Where it goes.</param>
    /// <param name="name">The checkpoint's name.</param>
    /// <param name="options">How it is written.</param>
    /// <exception cref="FormatException"><paramref name="name"/> is not a checkpoint's name.</exception>
    public CheckpointWriter(IShardStore store, string name, CheckpointWriterOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(store);
        ArgumentNullException.ThrowIfNull(name);
        _store = store;
        _name = CheckpointReference.ForTag(name, ShardTag.Latest).Name;
        _options = options ?? new();
        _shards = new(store, new() { ChunkBytes = _options.ChunkBytes });
    }

    /// <summary>Writes a tensor whose bytes are in memory.</summary>
    /// <param name="name">Its name; unique in the checkpoint.</param>
    /// <param name="dtype">The type of its elements.</param>
    /// <param name="shape">Its sizes.</param>
    /// <param name="content">Its bytes: contiguous, row-major, little-endian. They must not change before the call ends.</param>
    /// <param name="cancellationToken">Ends the writing; the tensor is then not part of the checkpoint.</param>
    /// <exception cref="ArgumentException">
    /// There is a tensor of that name already, or <paramref name="content"/> is not as long as dtype and shape say.
    /// </exception>
    public Task<ShardedTensor> WriteTensorAsync(
        string name, TensorDType dtype, TensorShape shape, ReadOnlyMemory<byte> content, CancellationToken cancellationToken = default)
    {
        var bytes = BytesOf(name, dtype, shape);
        return content.Length == bytes
            ? WriteAsync(name, dtype, shape, stop => _shards.WriteAsync(content, stop), cancellationToken)
            : throw Errors.ContentLength(name, dtype, shape, bytes, content.Length);
    }

    /// <summary>Writes a tensor whose bytes a delegate gives: one above 2 GiB, or one that lies elsewhere than in managed memory.</summary>
    /// <param name="name">Its name; unique in the checkpoint.</param>
    /// <param name="dtype">The type of its elements.</param>
    /// <param name="shape">Its sizes.</param>
    /// <param name="content">Gives its bytes: contiguous, row-major, little-endian.</param>
    /// <param name="cancellationToken">Ends the writing; the tensor is then not part of the checkpoint.</param>
    /// <exception cref="ArgumentException">There is a tensor of that name already.</exception>
    /// <exception cref="InvalidDataException">The content changed while it was written.</exception>
    public Task<ShardedTensor> WriteTensorFromAsync(
        string name, TensorDType dtype, TensorShape shape, ShardContent content, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(content);
        var bytes = BytesOf(name, dtype, shape);
        return WriteAsync(name, dtype, shape, stop => _shards.WriteAsync(bytes, content, stop), cancellationToken);
    }

    /// <summary>Makes the checkpoint visible: writes its manifest, then moves a tag to it.</summary>
    /// <param name="tag">The tag.</param>
    /// <param name="cancellationToken">Ends the publishing.</param>
    /// <returns>The reference to the manifest by its digest.</returns>
    /// <exception cref="InvalidOperationException">A tensor is still being written.</exception>
    /// <exception cref="FormatException"><paramref name="tag"/> is not a tag.</exception>
    public async Task<CheckpointReference> PublishAsync(string tag = ShardTag.Latest, CancellationToken cancellationToken = default)
    {
        var asked = CheckpointReference.ForTag(_name, tag);
        var digest = await ManifestWriter.WriteAsync(_store, ManifestOf(WrittenTensors()), cancellationToken).ConfigureAwait(false);
        await new CheckpointTags(_store, _options.TimeProvider).MoveAsync(asked, digest, null, cancellationToken).ConfigureAwait(false);
        return CheckpointReference.ForDigest(_name, digest);
    }

    private async Task<ShardedTensor> WriteAsync(
        string name,
        TensorDType dtype,
        TensorShape shape,
        Func<CancellationToken, Task<WrittenShard>> write,
        CancellationToken cancellationToken)
    {
        lock (_turn)
        {
            if (!_tensors.TryAdd(name, null))
            {
                throw Errors.DuplicateTensor(name, _name);
            }
        }

        ShardedTensor? tensor = null;
        try
        {
            // The call has its place in the manifest; the caller may go on to the next while this one is hashed.
            await Task.CompletedTask.ConfigureAwait(ConfigureAwaitOptions.ForceYielding);
            var (sums, _) = await write(cancellationToken).ConfigureAwait(false);
            tensor = new(name, dtype, shape, sums.Bytes, sums.Digest, sums.Chunks);
            return tensor;
        }
        finally
        {
            lock (_turn)
            {
                if (tensor is null)
                {
                    _tensors.Remove(name);
                }
                else
                {
                    _tensors[name] = tensor;
                }
            }
        }
    }

    private ImmutableArray<ShardedTensor> WrittenTensors()
    {
        lock (_turn)
        {
            return [.. _tensors.Select(entry => entry.Value ?? throw Errors.TensorUnfinished(entry.Key))];
        }
    }

    private ShardManifest ManifestOf(ImmutableArray<ShardedTensor> tensors)
    {
        var manifest = new ShardManifest
        {
            Name = _name,
            ChunkBytes = _options.ChunkBytes,
            Tensors = tensors,
            Metadata = _options.Metadata.ToImmutableSortedDictionary(StringComparer.Ordinal),
        };
        return _options.Values is { } values ? manifest with { Values = values } : manifest;
    }

    private static long BytesOf(string name, TensorDType dtype, TensorShape shape)
    {
        ArgumentNullException.ThrowIfNull(name);
        var bits = checked(shape.ElementCount() * dtype.Bits());
        return bits % 8 == 0 ? bits / 8 : throw Errors.NotWholeBytes(name, dtype, 0, shape);
    }
}
