using System.Buffers.Binary;
using System.Text;

namespace CloudShards.Formats.Torch;

/// <summary>One entry of a zip, as its central directory tells it.</summary>
/// <param name="Name">The whole name.</param>
/// <param name="Flags">General purpose flags.</param>
/// <param name="Method">Compression method; 0 is stored.</param>
/// <param name="PackedBytes">Bytes that the entry takes in the archive.</param>
/// <param name="Bytes">Bytes of its content.</param>
/// <param name="HeaderOffset">Where its local header is.</param>
internal sealed record ZipEntry(string Name, ushort Flags, ushort Method, long PackedBytes, long Bytes, long HeaderOffset)
{
    /// <summary>Bytes of a local header, without name and extra field.</summary>
    public const int HeaderBytes = 30;

    private const uint HeaderSignature = 0x04034b50;
    private const ushort EncryptedFlag = 1;
    private const ushort DescriptorFlag = 8;

    /// <summary>The byte that the entry must end before: the next entry's first.</summary>
    public long Limit { get; set; }

    /// <summary>The local header and name, without the extra field.</summary>
    public ByteRange HeaderRange => new(HeaderOffset, HeaderBytes + Encoding.UTF8.GetByteCount(Name));

    /// <summary>The local header, whatever extra field it has, and the content.</summary>
    public ByteRange WholeRange => new(HeaderOffset, Math.Min(Limit - HeaderOffset, HeaderRange.Length + ushort.MaxValue + PackedBytes));

    /// <summary>Lets an entry pass whose content lies in the archive as it is, so that <see cref="WholeRange"/> is hardly longer than that.</summary>
    /// <exception cref="CheckpointFormatException">It is compressed.</exception>
    public void RequireStored()
    {
        if (Method != 0 || Bytes != PackedBytes)
        {
            throw Errors.ZipCompressed(Name, HeaderOffset);
        }
    }

    /// <summary>
    /// Where the content lies, which only the local header tells: its extra field is not the directory's. It must agree with the directory in all
    /// that it repeats, since a reader that trusts the one would see another file than a reader that trusts the other.
    /// </summary>
    /// <param name="header">At least the bytes of <see cref="HeaderRange"/>.</param>
    public ByteRange Locate(ReadOnlySpan<byte> header)
    {
        RequireStored();
        var name = Encoding.UTF8.GetBytes(Name);
        if (BinaryPrimitives.ReadUInt32LittleEndian(header) != HeaderSignature
            || BinaryPrimitives.ReadUInt16LittleEndian(header[8..]) != Method
            || !RepeatsSize(header, BinaryPrimitives.ReadUInt32LittleEndian(header[18..]))
            || !RepeatsSize(header, BinaryPrimitives.ReadUInt32LittleEndian(header[22..]))
            || BinaryPrimitives.ReadUInt16LittleEndian(header[26..]) != name.Length
            || !header.Slice(HeaderBytes, name.Length).SequenceEqual(name))
        {
            throw Errors.ZipHeaderDiffers(Name, HeaderOffset);
        }

        if (((BinaryPrimitives.ReadUInt16LittleEndian(header[6..]) | Flags) & EncryptedFlag) != 0)
        {
            throw Errors.ZipEncrypted(Name, HeaderOffset);
        }

        var content = new ByteRange(HeaderOffset + HeaderBytes + name.Length + BinaryPrimitives.ReadUInt16LittleEndian(header[28..]), Bytes);
        return content.End <= Limit ? content : throw Errors.ZipEntryTooLong(Name, HeaderOffset, PackedBytes, Limit);
    }

    // Unless a descriptor follows the content, or a ZIP64 field has the size.
    private bool RepeatsSize(ReadOnlySpan<byte> header, uint size) => size == Bytes || size == uint.MaxValue
        || (size == 0 && (BinaryPrimitives.ReadUInt16LittleEndian(header[6..]) & DescriptorFlag) != 0);
}
