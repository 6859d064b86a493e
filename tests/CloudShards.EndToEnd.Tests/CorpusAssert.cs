using CloudShards.Formats;
using CloudShards.Testing;

namespace CloudShards.EndToEnd.Tests;

/// <summary>Holds what was published against the sidecars of the corpus.</summary>
internal static class CorpusAssert
{
    /// <summary>Asserts that a manifest lists these tensors and no others, in this order.</summary>
    public static void Lists(IEnumerable<CorpusTensor> expected, ShardManifest found) => Assert.Equal(
        expected.Select(tensor => (tensor.Name, tensor.DType, TensorShape.Create([.. tensor.Shape]), tensor.Bytes, tensor.Digest)),
        found.Tensors.Select(tensor => (tensor.Name, tensor.DType.Name(), tensor.Shape, tensor.Bytes, tensor.Digest)));

    /// <summary>The names of the packs that a manifest lists.</summary>
    public static IEnumerable<string> PacksOf(ShardManifest manifest) => manifest.Packs.IsDefault ? [] : manifest.Packs.Select(pack => StoreLayout.Pack(pack.Digest));
}
