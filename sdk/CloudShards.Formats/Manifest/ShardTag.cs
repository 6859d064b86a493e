using System.Collections.Immutable;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace CloudShards.Formats;

/// <summary>The document of a tag, the movable name of a manifest.</summary>
/// <param name="Digest">The manifest that the tag names.</param>
/// <param name="MovedAt">When it was last moved.</param>
/// <param name="Source">The upload that moved it; empty where a person or program did.</param>
public sealed record ShardTag(Digest Digest, DateTimeOffset MovedAt, ImmutableArray<TagSource> Source)
{
    /// <summary>The tag that each new upload moves.</summary>
    public const string Latest = "latest";

    /// <summary>When the newest file of the upload was written, or null where the tag was moved by hand.</summary>
    public DateTimeOffset? UploadedAt() => Source.IsEmpty ? null : Source.Max(file => file.UploadedAt);

    /// <summary>Reads a tag's document.</summary>
    /// <exception cref="CheckpointFormatException">It is not one.</exception>
    public static ShardTag Parse(ReadOnlySpan<byte> utf8)
    {
        try
        {
            var tag = JsonSerializer.Deserialize(utf8, ManifestJson.Default.ShardTag);
            return tag is { Source.IsDefault: false } && !tag.Source.Contains(null!) ? tag : throw Errors.TagNotJson("it lacks a list of files, `source`.");
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            throw Errors.TagNotJson(e.Message, e);
        }
    }

    /// <summary>The document.</summary>
    public byte[] ToUtf8() => JsonSerializer.SerializeToUtf8Bytes(this, ManifestJson.Default.ShardTag);
}

/// <summary>One file of the upload that moved a tag.</summary>
/// <param name="Path">Its path in the uploads container.</param>
/// <param name="ETag">Its ETag when it was sharded.</param>
/// <param name="UploadedAt">When it was last written.</param>
public sealed record TagSource(
    string Path, [property: JsonPropertyName("etag")] string ETag, DateTimeOffset UploadedAt);
