namespace CloudShards.Formats;

/// <summary>Why a file was refused.</summary>
public enum CheckpointError
{
    /// <summary>The bytes are those of no checkpoint format.</summary>
    NotACheckpoint,

    /// <summary>The bytes are of a format or feature that is recognised and not supported.</summary>
    Unsupported,

    /// <summary>The file ends before its structure does.</summary>
    Truncated,

    /// <summary>The structure breaks its format's rules.</summary>
    Malformed,

    /// <summary>The file names something that could run code.</summary>
    Forbidden,

    /// <summary>A tensor's dtype, shape, stride or offset does not fit its bytes.</summary>
    BadTensor,

    /// <summary>Two tensors, or two values, would have one name, or a name is not valid text.</summary>
    BadName,

    /// <summary>A bound of <see cref="CheckpointLimits"/> is exceeded.</summary>
    LimitExceeded,
}

/// <summary>A checkpoint or manifest was refused. The message says what was found where, what was expected, and what to do.</summary>
/// <param name="error">The cause.</param>
/// <param name="message">What was found and expected, and what to do.</param>
/// <param name="offset">The byte of the file at which the cause lies, where one is known.</param>
/// <param name="tensor">The tensor concerned, where there is one.</param>
/// <param name="innerException">What revealed the cause, if an exception did.</param>
public sealed class CheckpointFormatException(
    CheckpointError error, string message, long? offset = null, string? tensor = null, Exception? innerException = null)
    : FormatException(Shortened(message), innerException)
{
    /// <summary>The cause.</summary>
    public CheckpointError Error { get; } = error;

    /// <summary>The byte of the file at which the cause lies, where one is known.</summary>
    public long? Offset { get; } = offset;

    /// <summary>The tensor concerned, where there is one.</summary>
    public string? Tensor { get; } = tensor;

    // A message goes into logs and a status document, and the names in it are as long as the file likes. What to do stands at its end.
    private static string Shortened(string message)
    {
        const int Begin = 1500;
        const int End = 500;
        return message.Length <= Begin + End ? message : $"{message.AsSpan(0, Begin)}…{message.AsSpan(message.Length - End)}";
    }
}
