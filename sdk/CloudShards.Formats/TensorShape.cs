using System.Collections;
using System.Collections.Immutable;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Text.Json.Serialization;

namespace CloudShards.Formats;

/// <summary>The sizes of a tensor's dimensions, outermost first. A scalar has none; a size may be 0.</summary>
[JsonConverter(typeof(TensorShapeJson))]
[CollectionBuilder(typeof(TensorShape), nameof(Create))]
public readonly struct TensorShape : IEquatable<TensorShape>, IReadOnlyList<long>
{
    private readonly ImmutableArray<long> _sizes;

    /// <summary>A shape of the given sizes.</summary>
    /// <exception cref="ArgumentOutOfRangeException">A size is negative.</exception>
    public TensorShape(ImmutableArray<long> sizes)
    {
        foreach (var size in sizes.IsDefault ? [] : sizes)
        {
            ArgumentOutOfRangeException.ThrowIfNegative(size, nameof(sizes));
        }

        _sizes = sizes;
    }

    /// <summary>The sizes, outermost first.</summary>
    public ImmutableArray<long> Sizes => _sizes.IsDefault ? [] : _sizes;

    /// <summary>Number of dimensions.</summary>
    public int Rank => Sizes.Length;

    /// <inheritdoc/>
    public int Count => Rank;

    /// <summary>The size of dimension <paramref name="index"/>.</summary>
    public long this[int index] => Sizes[index];

    /// <summary>A shape of the given sizes.</summary>
    public static TensorShape Create(ReadOnlySpan<long> sizes) => new([.. sizes]);

    /// <summary>Number of elements; 1 for a scalar.</summary>
    /// <exception cref="OverflowException">The product exceeds 2^63 - 1.</exception>
    public long ElementCount() => TryCountElements(out var count) ? count : throw new OverflowException($"The shape {this} has more than 2^63 - 1 elements.");

    /// <summary>Number of bytes that the elements take, packed.</summary>
    /// <exception cref="OverflowException">The size exceeds 2^63 - 1 bits.</exception>
    public long ByteCount(TensorDType dtype) => checked(ElementCount() * dtype.Bits()) / 8;

    /// <inheritdoc/>
    public bool Equals(TensorShape other) => Sizes.AsSpan().SequenceEqual(other.Sizes.AsSpan());

    /// <inheritdoc/>
    public override bool Equals(object? obj) => obj is TensorShape other && Equals(other);

    /// <inheritdoc/>
    public override int GetHashCode()
    {
        // All bits count: those of a long's own hash code cancel each other out.
        var hash = new HashCode();
        hash.AddBytes(MemoryMarshal.AsBytes(Sizes.AsSpan()));

        return hash.ToHashCode();
    }

    /// <summary>Enumerates the sizes.</summary>
    public ImmutableArray<long>.Enumerator GetEnumerator() => Sizes.GetEnumerator();

    IEnumerator<long> IEnumerable<long>.GetEnumerator() => ((IEnumerable<long>)Sizes).GetEnumerator();

    IEnumerator IEnumerable.GetEnumerator() => ((IEnumerable)Sizes).GetEnumerator();

    /// <summary>As in <c>[4096, 1024]</c>.</summary>
    public override string ToString() => $"[{string.Join(", ", Sizes)}]";

    /// <summary>Whether both shapes have the same sizes.</summary>
    public static bool operator ==(TensorShape left, TensorShape right) => left.Equals(right);

    /// <summary>Whether the shapes differ.</summary>
    public static bool operator !=(TensorShape left, TensorShape right) => !left.Equals(right);

    // A shape with a 0 has no elements, however large the product of its other sizes.
    internal bool TryCountElements(out long count)
    {
        count = Sizes.Contains(0) ? 0 : 1;
        foreach (var size in Sizes)
        {
            if (count > 0 && size > long.MaxValue / count)
            {
                return false;
            }

            count *= size;
        }

        return true;
    }

    internal bool TryCountBytes(TensorDType dtype, out long bytes)
    {
        bytes = 0;
        if (!TryCountElements(out var elements) || elements > long.MaxValue / dtype.Bits() || elements * dtype.Bits() % 8 != 0)
        {
            return false;
        }

        bytes = elements * dtype.Bits() / 8;
        return true;
    }
}
