using System.Collections.Immutable;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace CloudShards.Formats.Tests.Manifest;

/// <summary>Manifests to read, and to break.</summary>
internal static class ManifestBytes
{
    /// <summary>One of everything.</summary>
    public static readonly ShardManifest Full = new()
    {
        Name = "llama-3-8b",
        ChunkBytes = 16,
        Source = [new("llama-3-8b/model.safetensors", 1234, "safetensors")],
        Tensors =
        [
            Tensor("lm_head.weight", TensorDType.BF16, [4, 5], 40),
            Tensor("näme\u0000\"<>", TensorDType.F4, [2], 1),
            Tensor("", TensorDType.I64, [], 8),
            Tensor("empty", TensorDType.F32, [3, 0], 0),
        ],
        Packs = [new(Digest.Of("pack"u8), 9, [new("", 0), new("näme\u0000\"<>", 8)])],
        Metadata = ImmutableSortedDictionary.CreateRange<string, string>(StringComparer.Ordinal, [new("b", "1"), new("B", "2"), new("a", "")]),
        Values = JsonElement.Parse("""{"epoch":3,"lr":1.0,"classes":["0",null,[true,1e400]],"é":{"$bytes":"AA=="}}"""),
    };

    /// <summary>The least.</summary>
    public static readonly ShardManifest Empty = new() { Name = "a", ChunkBytes = 1, Tensors = [] };

    public static ShardedTensor Tensor(string name, TensorDType dtype, TensorShape shape, long bytes) =>
        new(name, dtype, shape, bytes, Digest.Of("shard"u8), [.. Enumerable.Range(0, (int)((bytes + 15) / 16)).Select(i => (ulong)i * 0x0123456789abcdef)]);

    /// <summary><see cref="Full"/> with the value at <paramref name="path"/> (<c>tensors/0/bytes</c>) replaced, added, or removed for null.</summary>
    public static string With(string path, string? json)
    {
        var document = JsonNode.Parse(Full.ToUtf8())!;
        var steps = path.Split('/');
        var parent = steps[..^1].Aggregate(document, (node, step) => node is JsonArray array ? array[Index(step)]! : node[step]!);
        switch (parent)
        {
            case JsonArray array:
                array[Index(steps[^1])] = JsonNode.Parse(json!);
                break;
            case var _ when json is null:
                parent.AsObject().Remove(steps[^1]);
                break;
            default:
                parent[steps[^1]] = JsonNode.Parse(json);
                break;
        }

        return document.ToJsonString();
    }

    private static int Index(string step) => int.Parse(step, System.Globalization.CultureInfo.InvariantCulture);
}
