using static TorchSharp.torch;

namespace CloudShards;

/// <summary>Shows sharded checkpoints as TorchSharp does its own.</summary>
public static class ShardedCheckpointExtensions
{
    /// <summary>
    /// A checkpoint as a state dict whose tensors are read when they are asked for, each time anew: by <c>this[]</c>, <c>TryGetValue</c>,
    /// or a step of an enumeration of entries or values. Keys, count and <c>ContainsKey</c> make no requests.
    /// </summary>
    /// <param name="checkpoint">The checkpoint.</param>
    /// <param name="prefix">What the names of the tensors wanted begin with and their keys do not, as in <c>encoder.</c>.</param>
    /// <returns>
    /// The state dict. Its tensors are new, on the CPU, and the caller's to dispose of. The calling thread waits while one is read; a large
    /// one is read by several threads. A tensor of a dtype that TorchSharp cannot hold (<c>F4</c>, <c>F6_E2M3</c>, <c>F6_E3M2</c>) throws
    /// <see cref="NotSupportedException"/> when it is asked for.
    /// </returns>
    public static IReadOnlyDictionary<string, Tensor> AsStateDict(this ShardedCheckpoint checkpoint, string prefix = "")
    {
        ArgumentNullException.ThrowIfNull(checkpoint);
        ArgumentNullException.ThrowIfNull(prefix);
        return new LazyStateDict(checkpoint, prefix);
    }
}
