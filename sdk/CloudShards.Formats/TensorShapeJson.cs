using System.Runtime.InteropServices;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace CloudShards.Formats;

/// <summary>Shapes in JSON are lists of their sizes.</summary>
public sealed class TensorShapeJson : JsonConverter<TensorShape>
{
    /// <inheritdoc/>
    public override TensorShape Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options)
    {
        if (reader.TokenType != JsonTokenType.StartArray)
        {
            throw new JsonException("a shape is a list of sizes");
        }

        var sizes = new long[reader.CountItems()];
        for (var i = 0; i < sizes.Length; i++)
        {
            reader.Read();
            if (reader.TokenType != JsonTokenType.Number || !reader.TryGetInt64(out sizes[i]) || sizes[i] < 0)
            {
                throw new JsonException("a size is a whole number from 0 on");
            }
        }

        reader.Read();
        return new(ImmutableCollectionsMarshal.AsImmutableArray(sizes));
    }

    /// <inheritdoc/>
    public override void Write(Utf8JsonWriter writer, TensorShape value, JsonSerializerOptions options)
    {
        ArgumentNullException.ThrowIfNull(writer);
        writer.WriteStartArray();
        foreach (var size in value)
        {
            writer.WriteNumberValue(size);
        }

        writer.WriteEndArray();
    }
}
