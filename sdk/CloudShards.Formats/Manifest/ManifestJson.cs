using System.Collections.Immutable;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace CloudShards.Formats;

/// <summary>The JSON of manifests and tags.</summary>
/// <remarks>
/// It is written by the default encoder, which escapes all but ASCII: others consult tables of printable characters that change with
/// Unicode versions, and with them a manifest's digest would change.
/// </remarks>
[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase,
    GenerationMode = JsonSourceGenerationMode.Metadata,
    AllowDuplicateProperties = false,
    RespectNullableAnnotations = true,
    RespectRequiredConstructorParameters = true,
    Converters = [typeof(ShardedTensorJson), typeof(PackedTensorJson), typeof(MetadataJson)])]
[JsonSerializable(typeof(ShardManifest))]
[JsonSerializable(typeof(ShardTag))]
internal sealed partial class ManifestJson : JsonSerializerContext;

/// <summary>Texts by name, always in ordinal order: the serializer's own comparer is that of the reader's culture.</summary>
internal sealed class MetadataJson : JsonConverter<ImmutableSortedDictionary<string, string>>
{
    public override ImmutableSortedDictionary<string, string> Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options)
    {
        if (reader.TokenType != JsonTokenType.StartObject)
        {
            throw new JsonException("metadata is an object");
        }

        var metadata = CheckpointValues.NoMetadata.ToBuilder();
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            var name = reader.GetString()!;
            if (!reader.Read() || reader.TokenType != JsonTokenType.String || !metadata.TryAdd(name, reader.GetString()!))
            {
                throw new JsonException("metadata has one text for each name");
            }
        }

        return metadata.ToImmutable();
    }

    public override void Write(Utf8JsonWriter writer, ImmutableSortedDictionary<string, string> value, JsonSerializerOptions options)
    {
        writer.WriteStartObject();
        foreach (var (name, text) in value.WithComparers(StringComparer.Ordinal))
        {
            writer.WriteString(name, text);
        }

        writer.WriteEndObject();
    }
}
