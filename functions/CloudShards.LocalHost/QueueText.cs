namespace CloudShards.LocalHost;

/// <summary>The text of a message: Base64, as Event Grid sends it and the Functions host has it.</summary>
internal static class QueueText
{
    public static string Of(BinaryData body) => Convert.ToBase64String(body);

    /// <summary>The body that a text stands for. One that is not Base64 stands for itself: whoever works on it says what is wrong with it.</summary>
    public static BinaryData BodyOf(string text)
    {
        var bytes = new byte[text.Length];
        return Convert.TryFromBase64String(text, bytes, out var length) ? new(bytes.AsMemory(0, length)) : new(text);
    }
}
