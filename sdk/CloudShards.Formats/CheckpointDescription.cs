using System.Collections.Immutable;
using System.Text.Json;

namespace CloudShards.Formats;

/// <summary>What a checkpoint file holds.</summary>
public sealed record CheckpointDescription
{
    /// <summary>The format that the file is in.</summary>
    public required CheckpointFormat Format { get; init; }

    /// <summary>The tensors, in the checkpoint's order; no two have one name.</summary>
    public required ImmutableArray<TensorInfo> Tensors { get; init; }

    /// <summary>The format's own texts, such as safetensors' <c>__metadata__</c>, in ordinal order of their keys.</summary>
    public ImmutableSortedDictionary<string, string> Metadata { get; init; } = CheckpointValues.NoMetadata;

    /// <summary>A JSON object with everything in the checkpoint that is data and not a tensor, by name.</summary>
    public JsonElement Values { get; init; } = CheckpointValues.None;
}

internal static class CheckpointValues
{
    internal static readonly JsonElement None = JsonElement.Parse("{}");

    internal static readonly ImmutableSortedDictionary<string, string> NoMetadata =
        ImmutableSortedDictionary.Create<string, string>(StringComparer.Ordinal);
}
