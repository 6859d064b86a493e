using System.Collections.Immutable;
using System.Globalization;
using System.Runtime.InteropServices;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace CloudShards.Formats;

/// <summary>
/// The JSON of a manifest's tensor. It is read by hand, since a manifest has up to a quarter of a million of them and the serializer boxes each of their fields.
/// </summary>
internal sealed class ShardedTensorJson : JsonConverter<ShardedTensor>
{
    private const int HexDigits = 16;
    private static readonly TensorShapeJson Shapes = new();

    public override ShardedTensor Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options)
    {
        string? name = null;
        TensorDType? dtype = null;
        TensorShape? shape = null;
        long? bytes = null;
        Digest? digest = null;
        ImmutableArray<ulong>? chunks = null;
        Require(reader.TokenType == JsonTokenType.StartObject, "a tensor is an object");
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            var field = FieldOf(ref reader);
            reader.Read();
            switch (field)
            {
                case "name" when name is null:
                    name = reader.GetString() ?? throw new JsonException("`name` is a text");
                    break;
                case "dtype" when dtype is null:
                    dtype = reader.TryGetDType(out var type) ? type : throw new JsonException("not a dtype");
                    break;
                case "shape" when shape is null:
                    shape = Shapes.Read(ref reader, typeof(TensorShape), options);
                    break;
                case "bytes" when bytes is null:
                    bytes = reader.GetInt64();
                    break;
                case "digest" when digest is null:
                    digest = reader.TryGetDigest(out var known) ? known : throw new JsonException("not a digest");
                    break;
                case "chunks" when chunks is null:
                    chunks = ReadChunks(ref reader);
                    break;
                case "":
                    reader.Skip();
                    break;
                default:
                    throw new JsonException($"`{field}` is given twice");
            }
        }

        return name is null || dtype is null || shape is null || bytes is null || digest is null || chunks is null
            ? throw new JsonException("a tensor has `name`, `dtype`, `shape`, `bytes`, `digest` and `chunks`")
            : new(name, dtype.Value, shape.Value, bytes.Value, digest.Value, chunks.Value);
    }

    public override void Write(Utf8JsonWriter writer, ShardedTensor value, JsonSerializerOptions options)
    {
        writer.WriteStartObject();
        writer.WriteString("name"u8, value.Name);
        writer.WriteString("dtype"u8, value.DType.Name());
        writer.WritePropertyName("shape"u8);
        Shapes.Write(writer, value.Shape, options);
        writer.WriteNumber("bytes"u8, value.Bytes);
        writer.WriteString("digest"u8, value.Digest.ToString());
        WriteChunks(writer, value.Chunks);
        writer.WriteEndObject();
    }

    // Empty for a field that a later version may have added.
    private static string FieldOf(ref Utf8JsonReader reader) =>
        reader.ValueTextEquals("name"u8) ? "name"
        : reader.ValueTextEquals("dtype"u8) ? "dtype"
        : reader.ValueTextEquals("shape"u8) ? "shape"
        : reader.ValueTextEquals("bytes"u8) ? "bytes"
        : reader.ValueTextEquals("digest"u8) ? "digest"
        : reader.ValueTextEquals("chunks"u8) ? "chunks"
        : "";

    // Texts of 16 hex digits: a JSON number holds only 53 bits in many readers.
    private static ImmutableArray<ulong> ReadChunks(ref Utf8JsonReader reader)
    {
        Require(reader.TokenType == JsonTokenType.StartArray, "chunks is a list of sums");
        var sums = new ulong[reader.CountItems()];
        for (var i = 0; i < sums.Length; i++)
        {
            reader.Read();
            Require(
                reader.TokenType == JsonTokenType.String && reader.ValueSpan.Length == HexDigits && !reader.ValueSpan.ContainsAnyInRange((byte)'A', (byte)'F')
                    && ulong.TryParse(reader.ValueSpan, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out sums[i]),
                "a chunk sum is a text of 16 lower-case hex digits");
        }

        reader.Read();
        return ImmutableCollectionsMarshal.AsImmutableArray(sums);
    }

    private static void WriteChunks(Utf8JsonWriter writer, ImmutableArray<ulong> chunks)
    {
        Span<byte> digits = stackalloc byte[HexDigits];
        writer.WriteStartArray("chunks"u8);
        foreach (var sum in chunks)
        {
            sum.TryFormat(digits, out _, "x16", CultureInfo.InvariantCulture);
            writer.WriteStringValue(digits);
        }

        writer.WriteEndArray();
    }

    private static void Require(bool holds, string rule)
    {
        if (!holds)
        {
            throw new JsonException(rule);
        }
    }
}
