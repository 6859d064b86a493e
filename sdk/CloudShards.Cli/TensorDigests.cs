using System.Buffers;
using System.Collections.Immutable;
using System.Security.Cryptography;
using CloudShards.Formats;
using CloudShards.Sharding;

namespace CloudShards.Cli;

/// <summary>
/// Hashes the contiguous, little-endian bytes of a checkpoint's tensors, reading each of them once: small neighbours together, the others block
/// by block. Memory is bounded, whatever the checkpoint's size.
/// </summary>
internal static class TensorDigests
{
    private const int Lanes = 4;
    private const long MaxGap = 64 << 10;
    private const int SmallBytes = 4 << 20;
    private const int GroupBytes = 16 << 20;
    private const int BlockBytes = 4 << 20;

    /// <summary>The digest of each tensor.</summary>
    /// <exception cref="SourceChangedException">A file was overwritten meanwhile.</exception>
    public static async Task<ImmutableArray<Digest>> ComputeAsync(CheckpointFiles checkpoint, CancellationToken cancellationToken)
    {
        var tensors = checkpoint.Description.Tensors;
        var sameAs = TiedTensors.Of(tensors).SameAs;
        var digests = new Digest[tensors.Length];
        var parallel = new ParallelOptions { MaxDegreeOfParallelism = Lanes, CancellationToken = cancellationToken };
        int[] distinct = [.. Enumerable.Range(0, tensors.Length).Where(i => sameAs[i] == i)];
        await Parallel.ForEachAsync(Work(checkpoint, distinct, digests), parallel, async (work, token) => await work(token));
        return [.. sameAs.Select(i => digests[i])];
    }

    private static IEnumerable<Func<CancellationToken, Task>> Work(CheckpointFiles checkpoint, int[] distinct, Digest[] digests)
    {
        var tensors = checkpoint.Description.Tensors;
        foreach (var file in distinct.GroupBy(i => tensors[i].File))
        {
            var source = checkpoint.Sources[file.Key];
            var bySize = file.ToLookup(i => tensors[i].Contiguous is { Length: <= SmallBytes });
            int[] small = [.. bySize[true]];
            var ranges = Array.ConvertAll(small, i => tensors[i].Contiguous!.Value);
            foreach (var group in ByteRangeGroup.Coalesce(ranges, MaxGap, GroupBytes))
            {
                yield return token => HashGroupAsync(source, group, ranges, (member, digest) => digests[small[member]] = digest, token);
            }

            foreach (var i in bySize[false])
            {
                yield return async token => digests[i] = await HashAsync(source, tensors[i], token);
            }
        }
    }

    private static async Task HashGroupAsync(
        ICheckpointSource source, ByteRangeGroup group, ByteRange[] ranges, Action<int, Digest> finish, CancellationToken cancellationToken)
    {
        var length = (int)group.Extent.Length;
        using var buffer = MemoryPool<byte>.Shared.Rent(Math.Max(1, length));
        await source.ReadAsync(group.Extent.Offset, buffer.Memory[..length], cancellationToken);
        foreach (var i in group.Members)
        {
            finish(i, Digest.Of(buffer.Memory.Span.Slice((int)(ranges[i].Offset - group.Extent.Offset), (int)ranges[i].Length)));
        }
    }

    private static async Task<Digest> HashAsync(ICheckpointSource source, TensorInfo tensor, CancellationToken cancellationToken)
    {
        if (tensor.Contiguous is { } range)
        {
            return await HashAsync(range.Length, (offset, block, token) => source.ReadAsync(range.Offset + offset, block, token), cancellationToken);
        }

        using var block = MemoryPool<byte>.Shared.Rent(BlockBytes);
        var windowBytes = (int)Math.Min(tensor.Bytes, GroupBytes);
        using var window = MemoryPool<byte>.Shared.Rent(windowBytes);
        using var sha256 = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        var view = new ViewReader(source, tensor, block.Memory[..BlockBytes]);
        await foreach (var piece in view.ReadAllAsync(window.Memory[..windowBytes], cancellationToken))
        {
            sha256.AppendData(piece.Span);
        }

        return new(sha256.GetHashAndReset());
    }

    private static async Task<Digest> HashAsync(long length, ShardContent content, CancellationToken cancellationToken)
    {
        using var sha256 = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        using var buffer = MemoryPool<byte>.Shared.Rent(BlockBytes);
        for (var offset = 0L; offset < length; offset += BlockBytes)
        {
            var block = buffer.Memory[..(int)Math.Min(BlockBytes, length - offset)];
            await content(offset, block, cancellationToken);
            sha256.AppendData(block.Span);
        }

        return new(sha256.GetHashAndReset());
    }
}
