using System.Collections.Immutable;
using CloudShards.Formats;
using TorchSharp;

namespace CloudShards;

/// <summary>The words of every refusal in this project: what was found where, what was expected, what to do.</summary>
internal static class Errors
{
    // A message is read by people; the exception's properties have every name.
    private const int NamesInMessage = 20;

    public const string OnMetaDevice = "it is on the meta device and has no memory; create the module on the CPU";

    public const string Sparse = "it is sparse; a shard holds every element, so make it dense";

    public const string RepeatsElements = "it is an expanded view, so its elements share memory; make it contiguous";

    public static string NoDType(torch.ScalarType scalarType) => $"its type is {scalarType}, which no checkpoint dtype stands for";

    public static string FormsDiffer(TensorForm expected, TensorForm found) => $"expected {expected}, found {found}";

    public static string TiedToOther(string other) => $"it shares its memory with `{other}`, which has other bytes in the checkpoint";

    public static StateDictMismatchException StateDictMismatch(
        string checkpoint,
        ImmutableArray<string> missing,
        ImmutableArray<string> unexpected,
        ImmutableArray<StateDictMismatch> mismatched)
    {
        string?[] sentences =
        [
            $"The checkpoint `{checkpoint}` does not fit the module, and nothing of the module was changed.",
            Sentence("The checkpoint lacks", nameof(StateDictMismatchException.Missing), [.. missing.Select(name => $"`{name}`")]),
            Sentence("The module lacks", nameof(StateDictMismatchException.Unexpected), [.. unexpected.Select(name => $"`{name}`")]),
            Sentence(
                "Both have, but differently,",
                nameof(StateDictMismatchException.Mismatched),
                [.. mismatched.Select(mismatch => $"`{mismatch.Name}` ({mismatch.Reason})")]),
            "Load it into the module that it was saved from, or see `ModuleLoadOptions`.",
        ];
        return new(string.Join(' ', sentences.Where(sentence => sentence is not null)), missing, unexpected, mismatched);
    }

    public static NotSupportedException NotHeld(ShardedTensor tensor) => new(
        $"The tensor `{tensor.Name}` is {tensor.DType.Name()}, which TorchSharp cannot hold. Read its bytes by "
        + $"`{nameof(ShardedCheckpoint)}.{nameof(ShardedCheckpoint.ReadAsync)}`.");

    public static NotSupportedException NotSaved(string name, string reason) => new(
        $"The module's tensor `{name}` cannot be saved: {reason}. Nothing was saved.");

    private static string? Sentence(string beginning, string property, ImmutableArray<string> items) => items.Length switch
    {
        0 => null,
        <= NamesInMessage => $"{beginning} {string.Join(", ", items)}.",
        _ => $"{beginning} {string.Join(", ", items.Take(NamesInMessage))} and {items.Length - NamesInMessage:N0} more (`{property}` has all).",
    };
}
