using System.Text.Json;
using System.Text.Json.Serialization;

namespace CloudShards.Formats;

/// <summary>The JSON of a tensor's place in a pack. It is read by hand for the reason that <see cref="ShardedTensorJson"/> has.</summary>
internal sealed class PackedTensorJson : JsonConverter<PackedTensor>
{
    public override PackedTensor Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options)
    {
        string? name = null;
        long? offset = null;
        if (reader.TokenType != JsonTokenType.StartObject)
        {
            throw new JsonException("a packed tensor is an object");
        }

        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            var (isName, isOffset) = (reader.ValueTextEquals("name"u8), reader.ValueTextEquals("offset"u8));
            reader.Read();
            if ((isName && name is not null) || (isOffset && offset is not null))
            {
                throw new JsonException($"`{(isName ? "name" : "offset")}` is given twice");
            }

            if (isName)
            {
                name = reader.GetString() ?? throw new JsonException("`name` is a text");
            }
            else if (isOffset)
            {
                offset = reader.GetInt64();
            }
            else
            {
                reader.Skip();
            }
        }

        return name is null || offset is null ? throw new JsonException("a packed tensor has `name` and `offset`") : new(name, offset.Value);
    }

    public override void Write(Utf8JsonWriter writer, PackedTensor value, JsonSerializerOptions options)
    {
        writer.WriteStartObject();
        writer.WriteString("name"u8, value.Name);
        writer.WriteNumber("offset"u8, value.Offset);
        writer.WriteEndObject();
    }
}
