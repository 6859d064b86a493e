using System.Collections.Immutable;
using CloudShards.Formats;
using static TorchSharp.torch;

namespace CloudShards;

/// <summary>A tensor of a module and the shard that it is to be read from.</summary>
/// <param name="Name">The module's name for it.</param>
/// <param name="Source">The checkpoint's tensor.</param>
/// <param name="Target">The module's tensor.</param>
internal sealed record PlannedTensor(string Name, ShardedTensor Source, Tensor Target);

/// <summary>What is to be read into a module, and where module and checkpoint differ.</summary>
/// <param name="Tensors">What is to be read, each of the module's memories once; complete where nothing is mismatched.</param>
/// <param name="Missing">The module's tensors that the checkpoint has under none of their names.</param>
/// <param name="Unexpected">The checkpoint's tensors, under the prefix, that the module lacks.</param>
/// <param name="Mismatched">Tensors that both have and that do not fit.</param>
internal sealed record LoadPlan(
    ImmutableArray<PlannedTensor> Tensors,
    ImmutableArray<string> Missing,
    ImmutableArray<string> Unexpected,
    ImmutableArray<StateDictMismatch> Mismatched)
{
    /// <summary>Compares a checkpoint with a module's state dict.</summary>
    /// <param name="stateDict">The module's tensors.</param>
    /// <param name="checkpoint">The checkpoint's tensors.</param>
    /// <param name="prefix">What the checkpoint's names begin with and the module's do not.</param>
    public static LoadPlan Create(IReadOnlyDictionary<string, Tensor> stateDict, ImmutableArray<ShardedTensor> checkpoint, string prefix)
    {
        var sources = checkpoint.Where(tensor => tensor.Name.StartsWith(prefix, StringComparison.Ordinal))
            .ToDictionary(tensor => tensor.Name[prefix.Length..], StringComparer.Ordinal);
        var planned = new OrderedDictionary<MemoryKey, PlannedTensor>();
        var mismatched = ImmutableArray.CreateBuilder<StateDictMismatch>();
        foreach (var (name, target) in stateDict.Where(entry => sources.ContainsKey(entry.Key)))
        {
            var source = sources[name];
            var memory = MemoryKey.Of(target);
            planned.TryAdd(memory, new(name, source, target));
            if ((Difference(source, target) ?? TieDifference(planned[memory], source)) is { } reason)
            {
                mismatched.Add(new(name, reason));
            }
        }

        return new(
            [.. planned.Values],
            [.. from entry in stateDict
                where !sources.ContainsKey(entry.Key) && !planned.ContainsKey(MemoryKey.Of(entry.Value))
                select entry.Key],
            [.. sources.Where(source => !stateDict.ContainsKey(source.Key)).Select(source => source.Value.Name)],
            mismatched.ToImmutable());
    }

    private static string? Difference(ShardedTensor source, Tensor target)
    {
        var found = new TensorForm(source.DType, source.Shape);
        return !TensorForm.TryOf(target, out var expected, out var reason) ? reason
            : expected != found ? Errors.FormsDiffer(expected, found)
            : RepeatsElements(target) ? Errors.RepeatsElements
            : null;
    }

    private static string? TieDifference(PlannedTensor first, ShardedTensor source) =>
        first.Source.Digest == source.Digest ? null : Errors.TiedToOther(first.Name);

    // An expanded view: one write would reach several elements.
    private static bool RepeatsElements(Tensor tensor) =>
        tensor.shape.Zip(tensor.stride()).Any(dimension => dimension is { First: > 1, Second: 0 });

    /// <summary>Tells tensors with memory of their own from tied ones.</summary>
    private readonly record struct MemoryKey(nint Start, long Bytes)
    {
        // Two tensors may be different handles of one memory; those that are not shard-like are told apart by their handles alone.
        public static MemoryKey Of(Tensor tensor) => TensorMemory.IsShardLike(tensor) && tensor.numel() > 0
            ? new(TensorMemory.Address(tensor), TensorMemory.Bytes(tensor))
            : new(tensor.Handle, 0);
    }
}
