using System.Collections.Immutable;
using CloudShards.Formats;
using static TorchSharp.torch;

namespace CloudShards;

/// <summary>What must be read to move a module to another version, and what another module has already.</summary>
/// <param name="Changed">What must be read.</param>
/// <param name="Kept">What the other module has, and its tensor.</param>
internal sealed record RefreshPlan(ImmutableArray<PlannedTensor> Changed, ImmutableArray<(PlannedTensor Planned, Tensor Current)> Kept)
{
    /// <summary>Compares what a module is to have with what another was loaded from.</summary>
    /// <param name="planned">What the module is to have.</param>
    /// <param name="current">The other module's tensors.</param>
    /// <param name="loaded">What it was loaded from.</param>
    public static RefreshPlan Create(ImmutableArray<PlannedTensor> planned, IReadOnlyDictionary<string, Tensor> current, ShardManifest loaded)
    {
        var before = loaded.Tensors.ToDictionary(tensor => tensor.Name, StringComparer.Ordinal);
        Tensor? Same(PlannedTensor tensor) =>
            before.TryGetValue(tensor.Source.Name, out var old) && old.Digest == tensor.Source.Digest
            && old.DType == tensor.Source.DType && old.Shape == tensor.Source.Shape
            && current.TryGetValue(tensor.Name, out var found)
            && TensorForm.TryOf(found, out var form, out _) && form == new TensorForm(old.DType, old.Shape)
                ? found
                : null;
        var both = planned.Select(tensor => (Planned: tensor, Current: Same(tensor))).ToLookup(pair => pair.Current is null);
        return new([.. both[true].Select(pair => pair.Planned)], [.. both[false].Select(pair => (pair.Planned, pair.Current!))]);
    }

    /// <summary>Copies what the other module has; nothing where it is the same module.</summary>
    public void CopyKept()
    {
        using var frozen = no_grad();
        foreach (var (planned, current) in Kept.Where(kept => kept.Planned.Target.Handle != kept.Current.Handle))
        {
            planned.Target.copy_(current);
        }
    }
}
