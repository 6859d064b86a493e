using System.Text.Json;
using CloudShards.Formats;
using CloudShards.Sharding;

namespace CloudShards.Cli;

/// <summary>Tells by its content whether a file is the index of a set: a JSON object with a <c>weight_map</c>.</summary>
internal static class SetIndex
{
    private const int HeadBytes = 16 << 10;

    /// <summary>Whether a file is meant as an index; it may be refused as one yet.</summary>
    public static async Task<bool> IsOneAsync(ICheckpointSource file, CancellationToken cancellationToken)
    {
        var head = new byte[Math.Min(file.Length, HeadBytes)];
        await file.ReadAsync(0, head, cancellationToken);
        if (HasWeightMap(head, isWhole: head.Length == file.Length) is { } shown)
        {
            return shown;
        }

        if (file.Length > CheckpointLimits.Default.MaxHeaderBytes)
        {
            return false;
        }

        var whole = new byte[file.Length];
        await file.ReadAsync(0, whole, cancellationToken);
        return HasWeightMap(whole, isWhole: true) == true;
    }

    /// <summary>Whether JSON is an object with a <c>weight_map</c>; null where what is there of it does not show that yet.</summary>
    internal static bool? HasWeightMap(ReadOnlySpan<byte> utf8, bool isWhole)
    {
        var reader = new Utf8JsonReader(utf8, isWhole, default);
        try
        {
            while (reader.Read())
            {
                if (reader.CurrentDepth == 0 && reader.TokenType is not (JsonTokenType.StartObject or JsonTokenType.EndObject))
                {
                    return false;
                }

                if (reader is { CurrentDepth: 1, TokenType: JsonTokenType.PropertyName } && reader.ValueTextEquals("weight_map"))
                {
                    return true;
                }
            }

            return isWhole ? false : null;
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            return false;
        }
    }
}
