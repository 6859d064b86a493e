using System.Collections.Immutable;

namespace CloudShards;

/// <summary>A checkpoint does not fit a module. Nothing of the module has been changed.</summary>
public sealed class StateDictMismatchException : Exception
{
    internal StateDictMismatchException(
        string message, ImmutableArray<string> missing, ImmutableArray<string> unexpected, ImmutableArray<StateDictMismatch> mismatched)
        : base(message) => (Missing, Unexpected, Mismatched) = (missing, unexpected, mismatched);

    /// <summary>The module's tensors that the checkpoint lacks, by the module's names; empty where that is allowed.</summary>
    public ImmutableArray<string> Missing { get; }

    /// <summary>The checkpoint's tensors that the module lacks, by the checkpoint's names; empty where that is allowed.</summary>
    public ImmutableArray<string> Unexpected { get; }

    /// <summary>Tensors that both have and that do not fit.</summary>
    public ImmutableArray<StateDictMismatch> Mismatched { get; }
}

/// <summary>A tensor of a checkpoint that does not fit the module's.</summary>
/// <param name="Name">The module's name for it.</param>
/// <param name="Reason">Why, as in <c>expected F32 [10, 64], found F32 [12, 64]</c>.</param>
public sealed record StateDictMismatch(string Name, string Reason);
