using System.Runtime.InteropServices;

namespace CloudShards.Formats;

/// <summary>A run of bytes in a file or blob.</summary>
/// <param name="Offset">First byte, counted from the start of the file; never negative.</param>
/// <param name="Length">Number of bytes; never negative.</param>
public readonly record struct ByteRange(long Offset, long Length)
{
    /// <summary>The byte after the last one.</summary>
    public long End => Offset + Length;

    /// <summary>Both bounds in file order, as in <c>4096..8192</c>.</summary>
    public override string ToString() => $"{Offset}..{End}";

    /// <inheritdoc/>
    public override int GetHashCode()
    {
        // All bits count: those of a long's own hash code cancel each other out.
        var hash = new HashCode();
        hash.AddBytes(MemoryMarshal.AsBytes<long>([Offset, Length]));
        return hash.ToHashCode();
    }

    internal bool LiesWithin(long fileLength) => Offset >= 0 && Length >= 0 && Offset <= fileLength && Length <= fileLength - Offset;
}
