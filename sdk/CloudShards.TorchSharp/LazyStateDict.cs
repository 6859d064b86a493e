using System.Collections;
using System.Collections.Immutable;
using System.Diagnostics.CodeAnalysis;
using CloudShards.Formats;
using static TorchSharp.torch;

namespace CloudShards;

/// <summary>A checkpoint's tensors under a prefix, each read when it is asked for.</summary>
internal sealed class LazyStateDict(ShardedCheckpoint checkpoint, string prefix) : IReadOnlyDictionary<string, Tensor>
{
    private readonly ImmutableArray<ShardedTensor> _tensors =
        [.. checkpoint.Tensors.Where(tensor => tensor.Name.StartsWith(prefix, StringComparison.Ordinal))];

    public int Count => _tensors.Length;

    public IEnumerable<string> Keys => _tensors.Select(tensor => tensor.Name[prefix.Length..]);

    public IEnumerable<Tensor> Values => _tensors.Select(Load);

    public Tensor this[string key] => Load(checkpoint[prefix + key]);

    public bool ContainsKey(string key) => checkpoint.TryGetTensor(prefix + key, out _);

    public bool TryGetValue(string key, [MaybeNullWhen(false)] out Tensor value)
    {
        value = checkpoint.TryGetTensor(prefix + key, out var tensor) ? Load(tensor) : null;
        return value is not null;
    }

    public IEnumerator<KeyValuePair<string, Tensor>> GetEnumerator() =>
        _tensors.Select(tensor => KeyValuePair.Create(tensor.Name[prefix.Length..], Load(tensor))).GetEnumerator();

    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();

    private Tensor Load(ShardedTensor source)
    {
        if (!source.DType.TryGetScalarType(out var scalarType))
        {
            throw Errors.NotHeld(source);
        }

        var tensor = empty(source.Shape.Sizes.AsSpan(), dtype: scalarType, device: CPU);
        try
        {
            checkpoint.ReadInto(new InPlaceTarget(source, tensor));
            return tensor;
        }
        catch
        {
            tensor.Dispose();
            throw;
        }
    }
}
