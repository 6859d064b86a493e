using System.Collections.Immutable;

namespace CloudShards;

/// <summary>How a module is loaded.</summary>
public sealed record ModuleLoadOptions
{
    /// <summary>
    /// What the checkpoint's names begin with and the module's do not, as in <c>model.</c>; other tensors of the checkpoint are left alone.
    /// Default: nothing.
    /// </summary>
    public string Prefix { get; init; } = "";

    /// <summary>Whether the checkpoint may lack tensors of the module, which then stay as they are. Default: no.</summary>
    public bool AllowMissing { get; init; }

    /// <summary>Whether the checkpoint may have tensors, under <see cref="Prefix"/>, that the module lacks. Default: no.</summary>
    public bool AllowUnexpected { get; init; }
}

/// <summary>What was left alone when a module was loaded.</summary>
/// <param name="Missing">The module's tensors that the checkpoint lacks, by the module's names.</param>
/// <param name="Unexpected">The checkpoint's tensors, under the prefix, that the module lacks, by the checkpoint's names.</param>
public sealed record ModuleLoadResult(ImmutableArray<string> Missing, ImmutableArray<string> Unexpected);

/// <summary>What it took to move a module to another version of its checkpoint.</summary>
/// <param name="TensorsRead">Tensors that differ between the versions and were read; tied ones count once.</param>
/// <param name="BytesRead">Their bytes.</param>
/// <param name="TensorsKept">Tensors that are the same in both and were not read.</param>
public sealed record ModuleRefreshResult(int TensorsRead, long BytesRead, int TensorsKept);
