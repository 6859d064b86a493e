using CloudShards.Formats;

namespace CloudShards;

/// <summary>There is no such checkpoint, tag or container, or the manifest is gone. The message says which, and what to do.</summary>
/// <param name="message">What is missing where, and what to do.</param>
/// <param name="reference">What was asked for.</param>
/// <param name="innerException">What revealed it, if an exception did.</param>
public sealed class CheckpointNotFoundException(string message, CheckpointReference reference, Exception? innerException = null)
    : Exception(message, innerException)
{
    /// <summary>What was asked for.</summary>
    public CheckpointReference Reference { get; } = reference;
}

/// <summary>A shard that a manifest names is not in the store.</summary>
/// <param name="message">What is missing where, and what to do.</param>
/// <param name="blob">The missing blob's name.</param>
/// <param name="innerException">What revealed it, if an exception did.</param>
public sealed class ShardNotFoundException(string message, string blob, Exception? innerException = null)
    : Exception(message, innerException)
{
    /// <summary>The missing blob's name.</summary>
    public string Blob { get; } = blob;
}

/// <summary>Stored bytes are not those that their digest or chunk sum says, also when read again.</summary>
/// <param name="message">What was found and expected, and what to do.</param>
/// <param name="blob">The blob's name.</param>
/// <param name="tensor">The tensor that it holds, or null where it is a manifest.</param>
/// <param name="chunk">The chunk whose sum is wrong, counted from 0, where one is known.</param>
public sealed class ShardCorruptException(string message, string blob, string? tensor = null, int? chunk = null) : Exception(message)
{
    /// <summary>The blob's name.</summary>
    public string Blob { get; } = blob;

    /// <summary>The tensor that it holds, or null where it is a manifest.</summary>
    public string? Tensor { get; } = tensor;

    /// <summary>The chunk whose sum is wrong, counted from 0, where one is known.</summary>
    public int? Chunk { get; } = chunk;
}
