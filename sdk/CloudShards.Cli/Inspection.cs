using System.Collections.Immutable;
using System.Text.Json;
using CloudShards.Formats;

namespace CloudShards.Cli;

/// <summary>What an inspection found.</summary>
internal sealed record Inspection
{
    /// <summary>The format's name of a set that an index lists.</summary>
    public const string SetFormat = "hf-index";

    /// <summary>The name of the file, or of the set's index.</summary>
    public required string Name { get; init; }

    /// <summary>Files that hold the tensors.</summary>
    public required int Files { get; init; }

    /// <summary>Bytes of all files.</summary>
    public required Int128 FileBytes { get; init; }

    /// <summary>Whether an index lists the files.</summary>
    public required bool IsSet { get; init; }

    /// <summary>What the files hold.</summary>
    public required CheckpointDescription Description { get; init; }

    /// <summary>The digest of each tensor; default where none were asked for.</summary>
    public ImmutableArray<Digest> Digests { get; init; }

    /// <summary>The tensors.</summary>
    public ImmutableArray<TensorInfo> Tensors => Description.Tensors;

    /// <summary>Names of what is no tensor, and its JSON.</summary>
    public IEnumerable<JsonProperty> Values => Description.Values.EnumerateObject();

    /// <summary>As in <c>safetensors</c>; of a set <see cref="SetFormat"/>, of a sharded checkpoint its manifest's schema.</summary>
    public string Format { get => field ?? (IsSet ? SetFormat : Description.Format.Name()); init; }
}
