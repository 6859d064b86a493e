namespace CloudShards.Formats;

/// <summary>The names of blobs in a shard store.</summary>
public static class StoreLayout
{
    /// <summary>The shard with a digest: <c>tensors/sha256/ab/abcdef…</c>. The short folder spreads names over the service's partitions.</summary>
    public static string Shard(Digest digest) => $"tensors/sha256/{digest.Hex[..2]}/{digest.Hex}";

    /// <summary>The pack with a digest: <c>packs/sha256/ab/abcdef…</c>.</summary>
    public static string Pack(Digest digest) => $"packs/sha256/{digest.Hex[..2]}/{digest.Hex}";

    /// <summary>A manifest: <c>checkpoints/{name}/manifests/sha256/{hex}.json</c>.</summary>
    public static string Manifest(string name, Digest digest) => $"checkpoints/{name}/manifests/sha256/{digest.Hex}.json";

    /// <summary>A tag: <c>checkpoints/{name}/tags/{tag}.json</c>.</summary>
    public static string Tag(string name, string tag) => $"checkpoints/{name}/tags/{tag}.json";
}
