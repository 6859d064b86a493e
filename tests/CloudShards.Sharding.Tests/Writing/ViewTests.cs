using System.Security.Cryptography;
using CloudShards.Formats;
using CloudShards.Testing;

namespace CloudShards.Sharding.Tests.Writing;

/// <summary>Tensors that do not lie in the file as they are shown, and are larger than the windows that they are read through.</summary>
public sealed class ViewTests : IDisposable
{
    private const int Rows = 2560;
    private const int Columns = 4096;

    private static readonly SyntheticCheckpoint Checkpoint = new([new("matrix", TensorDType.F32, [Rows, Columns])]);

    private readonly TemporaryFolder _folder = new();

    /// <summary>Views of the matrix, of 16 MiB (one window), 40 MiB, and sizes that are no multiple of a window or block.</summary>
    public static TheoryData<string, long[], long[], long, ElementTransform> Views => new()
    {
        { "transposed", [Columns, Rows], [1, Columns], 0, ElementTransform.None },
        { "transposed and big-endian", [Columns, Rows], [1, Columns], 0, ElementTransform.SwapBytes },
        { "big-endian", [Rows, Columns], [Columns, 1], 0, ElementTransform.SwapBytes },
        { "negated", [Rows, Columns], [Columns, 1], 0, ElementTransform.Negate },
        { "every other row", [Rows / 2, Columns], [2 * Columns, 1], Columns, ElementTransform.None },
        { "every third column", [Rows, 1365], [Columns, 3], 1, ElementTransform.None },
        { "without its borders", [Rows - 2, Columns - 2], [Columns, 1], Columns + 1, ElementTransform.None },
        { "split and permuted", [64, Rows, 64], [1, Columns, 64], 0, ElementTransform.None },
        { "a row expanded", [2500, Columns], [0, 1], 7 * Columns, ElementTransform.None },
        { "a column expanded", [Rows, 4001], [Columns, 0], 5, ElementTransform.None },
        { "overlapping windows of a row", [4001, 1000], [1, 3], 11, ElementTransform.None },
        { "empty and big-endian", [0, Columns], [Columns, 1], 0, ElementTransform.SwapBytes },
        { "one window exactly", [1024, Columns], [1, Rows], 0, ElementTransform.None },
    };

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public void Dispose() => _folder.Dispose();

    [Theory]
    [MemberData(nameof(Views))]
    public async Task AViewIsGatheredWholeInOneWindowAndInMany(string view, long[] shape, long[] strides, long offset, ElementTransform transform)
    {
        var matrix = await WriteAsync();
        using var source = new FileCheckpointSource(matrix, "matrix.pt");
        var description = await CheckpointProbe.DescribeAsync(source, null, Token);
        var whole = Assert.Single(description.Tensors);
        var tensor = whole with
        {
            Shape = TensorShape.Create(shape),
            Layout = whole.Layout with { ElementOffset = offset, Strides = [.. strides], Transform = transform },
        };

        var expected = Naive(shape, strides, offset, transform);
        foreach (var options in (ShardingOptions[])[new(), new() { MemoryBudgetBytes = 20 << 20, MaxPackedBytes = 0 }])
        {
            var folder = Path.Combine(_folder.Path, $"{options.MemoryBudgetBytes}");
            var manifest = await ShardingRun.RunAsync(source, description with { Tensors = [tensor] }, new DirectoryShardStore(folder), Token, options);

            Assert.True(expected == Assert.Single(manifest.Tensors).Digest, view);
            ShardingRun.AssertStored(manifest, folder);
        }
    }

    private async Task<string> WriteAsync()
    {
        var path = Path.Combine(_folder.Path, "matrix.pt");
        await using var file = File.Create(path);
        await Checkpoint.WriteTorchZipAsync(file, Token);
        return path;
    }

    // Element by element, in the order of their indices.
    private static Digest Naive(long[] shape, long[] strides, long offset, ElementTransform transform)
    {
        var matrix = new byte[Checkpoint.TensorBytes];
        Checkpoint.Fill(0, 0, matrix);
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        var row = new byte[shape[^1] * sizeof(float)];
        var index = new long[shape.Length];
        for (var rows = shape[..^1].Aggregate(1L, (product, size) => product * size); rows > 0; rows--)
        {
            var start = offset + index.Zip(strides, (i, stride) => i * stride).Sum();
            for (var i = 0; i < shape[^1]; i++)
            {
                var element = row.AsSpan(i * sizeof(float), sizeof(float));
                matrix.AsSpan((int)(start + (i * strides[^1])) * sizeof(float), sizeof(float)).CopyTo(element);
                Apply(transform, element);
            }

            hash.AppendData(row);
            for (var d = shape.Length - 2; d >= 0 && ++index[d] == shape[d]; d--)
            {
                index[d] = 0;
            }
        }

        return new(hash.GetHashAndReset());
    }

    private static void Apply(ElementTransform transform, Span<byte> element)
    {
        if (transform == ElementTransform.SwapBytes)
        {
            element.Reverse();
        }
        else if (transform == ElementTransform.Negate)
        {
            element[^1] ^= 0x80;
        }
    }
}
