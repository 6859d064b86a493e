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

    internal bool LiesWithin(long fileLength) => Offset >= 0 && Length >= 0 && Offset <= fileLength && Length <= fileLength - Offset;
}
