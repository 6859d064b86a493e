using CloudShards.Formats;
using CloudShards.Testing;

namespace CloudShards.Benchmarks;

/// <summary>Checkpoints with the proportions of a language model: an embedding, and layers of a few large matrices and two small vectors each.</summary>
internal static class SyntheticModel
{
    // Of a layer: four square projections, three of the feed-forward network 2.5 times as wide, two norms.
    private const int TensorsPerLayer = 9;
    private const double LayerMatrices = 4 + (3 * 2.5);

    // 64 KiB of 2-byte elements.
    private const int SmallRows = 128;
    private const int SmallColumns = 256;

    /// <summary>A checkpoint of about <paramref name="bytes"/> bytes in <paramref name="tensors"/> tensors.</summary>
    public static SyntheticCheckpoint Create(long bytes, int tensors)
    {
        var layers = Math.Max(1, (tensors - 2) / TensorsPerLayer);
        var width = (long)Math.Sqrt(bytes * 0.94 / (layers * LayerMatrices * 2));
        var vocabulary = Math.Max(1, (long)(bytes * 0.06 / (2 * 2 * width)));
        var made = new List<SyntheticTensor> { Matrix("embedding", vocabulary, width), Matrix("head", vocabulary, width) };
        for (var layer = 0; layer < layers; layer++)
        {
            var inner = width * 5 / 2;
            made.AddRange(((string[])["q", "k", "v", "o"]).Select(name => Matrix($"layer{layer}_{name}", width, width)));
            made.AddRange([
                Matrix($"layer{layer}_gate", inner, width),
                Matrix($"layer{layer}_up", inner, width),
                Matrix($"layer{layer}_down", width, inner),
                new($"layer{layer}_norm1", TensorDType.BF16, new([width])),
                new($"layer{layer}_norm2", TensorDType.BF16, new([width])),
            ]);
        }

        while (made.Count < tensors)
        {
            made.Add(new($"extra{made.Count}", TensorDType.BF16, new([width])));
        }

        return new([.. made]);
    }

    /// <summary>A checkpoint of tensors that are as large as a pack takes them, and all alike.</summary>
    public static SyntheticCheckpoint CreateSmall(long bytes, int tensors) =>
        new([.. Enumerable.Range(0, tensors).Select(i => Matrix($"expert{i}", SmallRows, SmallColumns))]);

    private static SyntheticTensor Matrix(string name, long rows, long columns) => new(name, TensorDType.BF16, new([rows, columns]));
}
