using System.Collections.Immutable;
using System.Runtime.InteropServices;
using System.Text.Json.Serialization;

namespace CloudShards.Formats;

/// <summary>A tensor of a checkpoint and where its bytes lie in the file.</summary>
/// <param name="Name">The keys that lead to it, joined by dots.</param>
/// <param name="DType">The type of its elements.</param>
/// <param name="Shape">Its sizes.</param>
/// <param name="Layout">Where its elements are.</param>
public sealed record TensorInfo(string Name, TensorDType DType, TensorShape Shape, TensorLayout Layout)
{
    /// <summary>The index of its file, where the checkpoint is a set of several; 0 where it is one.</summary>
    public int File { get; init; }

    /// <summary>Bytes of the tensor once contiguous, row-major and packed.</summary>
    public long Bytes => Shape.ByteCount(DType);

    /// <summary>
    /// The range of the file that holds exactly the tensor's contiguous little-endian bytes, or null where they must be gathered
    /// or transformed.
    /// </summary>
    public ByteRange? Contiguous
    {
        get
        {
            if (Layout.Transform != ElementTransform.None || !IsRowMajor())
            {
                return null;
            }

            return new(Layout.Extent.Offset + (Layout.ElementOffset * DType.Bits() / 8), Bytes);
        }
    }

    private bool IsRowMajor()
    {
        if (Layout.Strides.IsDefault || Shape.Sizes.Contains(0))
        {
            return true;
        }

        long expected = 1;
        for (var d = Shape.Rank - 1; d >= 0; d--)
        {
            if (Shape[d] != 1 && Layout.Strides[d] != expected)
            {
                return false;
            }

            expected *= Shape[d];
        }

        return true;
    }
}

/// <summary>How a tensor's elements lie in its file: the elements of a TorchStorage that it views, or its own run of bytes.</summary>
public sealed record TensorLayout : IEquatable<TensorLayout>
{
    /// <summary>The bytes that the tensor views: PyTorch's TorchStorage, or the tensor's own bytes.</summary>
    public required ByteRange Extent { get; init; }

    /// <summary>The first element, counted in elements from the start of <see cref="Extent"/>.</summary>
    public long ElementOffset { get; init; }

    /// <summary>The distance in elements between neighbours of each dimension, never negative; default where row-major.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingDefault)]
    public ImmutableArray<long> Strides { get; init; }

    /// <summary>What each element must go through.</summary>
    public ElementTransform Transform { get; init; }

    /// <inheritdoc/>
    public bool Equals(TensorLayout? other) => other is not null && Extent == other.Extent && ElementOffset == other.ElementOffset
        && Transform == other.Transform && Strides.IsDefault == other.Strides.IsDefault
        && (Strides.IsDefault || Strides.AsSpan().SequenceEqual(other.Strides.AsSpan()));

    /// <inheritdoc/>
    public override int GetHashCode()
    {
        // A file may hold a million layouts that differ in any of this. All bits count: those of a long's own hash code cancel each other out.
        var hash = new HashCode();
        hash.AddBytes(MemoryMarshal.AsBytes<long>([Extent.Offset, Extent.Length, ElementOffset, (long)Transform]));
        hash.AddBytes(MemoryMarshal.AsBytes(Strides.AsSpan()));
        return hash.ToHashCode();
    }
}

/// <summary>What an element's bytes must go through to be the little-endian element that the tensor shows.</summary>
[Flags]
public enum ElementTransform
{
    /// <summary>Nothing.</summary>
    None = 0,

    /// <summary>Its bytes are big-endian; a complex element is swapped part by part.</summary>
    SwapBytes = 1,

    /// <summary>Its imaginary part changes sign (PyTorch's lazy <c>conj</c>).</summary>
    Conjugate = 2,

    /// <summary>It changes sign (PyTorch's lazy <c>neg</c> view).</summary>
    Negate = 4,
}
