using System.Text.Json;

namespace CloudShards.Formats;

/// <summary>Reads what a header or a manifest has a quarter of a million of, without a text or a list in between.</summary>
internal static class JsonReading
{
    /// <summary>The dtype whose name the reader stands at.</summary>
    public static bool TryGetDType(this in Utf8JsonReader reader, out TensorDType dtype) =>
        TensorDTypeExtensions.TryParse(GetText(reader, stackalloc char[TensorDTypeExtensions.MaxNameLength]), out dtype);

    /// <summary>The digest that the reader stands at.</summary>
    public static bool TryGetDigest(this in Utf8JsonReader reader, out Digest digest) =>
        Digest.TryParse(GetText(reader, stackalloc char[Digest.TextLength]), out digest);

    /// <summary>How many items the list has at whose start the reader stands, if none of them is a list or an object.</summary>
    public static int CountItems(this Utf8JsonReader reader)
    {
        var count = 0;
        while (reader.Read() && reader.TokenType != JsonTokenType.EndArray)
        {
            count++;
        }

        return count;
    }

    private static ReadOnlySpan<char> GetText(in Utf8JsonReader reader, Span<char> buffer) =>
        reader.TokenType != JsonTokenType.String ? []
        : reader.ValueSpan.Length <= buffer.Length ? buffer[..reader.CopyString(buffer)]
        : reader.GetString();
}
