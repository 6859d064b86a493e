using System.Collections.Immutable;
using System.Text.Json;
using CloudShards.Formats;

namespace CloudShards;

/// <summary>How a checkpoint is written.</summary>
public sealed record CheckpointWriterOptions
{
    /// <summary>Bytes of a shard that one chunk sum covers, 1 to 64 MiB; default 8 MiB.</summary>
    public int ChunkBytes
    {
        get;
        init
        {
            ArgumentOutOfRangeException.ThrowIfLessThan(value, 1);

            // A reader has a buffer of one chunk, and refuses a manifest that asks for more.
            ArgumentOutOfRangeException.ThrowIfGreaterThan(value, CheckpointLimits.Default.MaxChunkBytes);
            field = value;
        }
    } = ShardManifest.DefaultChunkBytes;

    /// <summary>Texts to keep in the manifest. Default none.</summary>
    public IReadOnlyDictionary<string, string> Metadata { get; init; } = ImmutableDictionary<string, string>.Empty;

    /// <summary>A JSON object to keep in the manifest: what the checkpoint holds beside tensors. Default an empty one.</summary>
    /// <exception cref="ArgumentException">It is no object.</exception>
    public JsonElement? Values
    {
        get;
        init => field = value is null or { ValueKind: JsonValueKind.Object } ? value : throw Errors.ValuesNotObject(value.Value.ValueKind);
    }

    /// <summary>The clock by which tags are moved. Default the system's.</summary>
    public TimeProvider TimeProvider { get; init; } = TimeProvider.System;
}
