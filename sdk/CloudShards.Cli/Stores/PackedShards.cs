using System.Security.Cryptography;
using CloudShards.Formats;

namespace CloudShards.Cli;

/// <summary>Hashes the tensors in a pack while its bytes pass from the first to the last.</summary>
internal sealed class PackedShards : IDisposable
{
    private readonly (ShardedTensor Tensor, long Offset)[] _places;
    private readonly List<Passing> _passing = [];
    private int _begun;

    /// <summary>The tensors of a pack.</summary>
    public PackedShards(ManifestPack pack, IReadOnlyDictionary<string, ShardedTensor> tensors) => _places =
    [
        .. pack.Tensors.Select(packed => (Tensor: tensors[packed.Name], packed.Offset))
            .Where(place => place.Tensor.Bytes > 0).DistinctBy(place => (place.Offset, place.Tensor.Digest)).OrderBy(place => place.Offset),
    ];

    /// <summary>A tensor that is not where it should be; null where none was found so far.</summary>
    public ShardedTensor? FirstWrong { get; private set; }

    /// <summary>Takes the pack's next bytes, which begin at <paramref name="offset"/>.</summary>
    public void Append(long offset, ReadOnlySpan<byte> block)
    {
        var end = offset + block.Length;
        for (; _begun < _places.Length && _places[_begun].Offset < end; _begun++)
        {
            _passing.Add(new(_places[_begun].Tensor, _places[_begun].Offset));
        }

        foreach (var shard in _passing)
        {
            var from = Math.Max(offset, shard.Range.Offset);
            var to = Math.Min(end, shard.Range.End);
            shard.Hash.AppendData(block[(int)(from - offset)..(int)(to - offset)]);
            if (to == shard.Range.End && new Digest(shard.Hash.GetHashAndReset()) != shard.Tensor.Digest)
            {
                FirstWrong ??= shard.Tensor;
            }
        }

        _passing.RemoveAll(shard =>
        {
            var hasPassed = shard.Range.End <= end;
            if (hasPassed)
            {
                shard.Hash.Dispose();
            }

            return hasPassed;
        });
    }

    public void Dispose() => _passing.ForEach(shard => shard.Hash.Dispose());

    private sealed class Passing(ShardedTensor tensor, long offset)
    {
        public ShardedTensor Tensor => tensor;

        public ByteRange Range { get; } = new(offset, tensor.Bytes);

        public IncrementalHash Hash { get; } = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
    }
}
