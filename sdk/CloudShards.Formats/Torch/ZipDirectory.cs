using System.Buffers.Binary;
using System.Text;

namespace CloudShards.Formats.Torch;

/// <summary>
/// The central directory of a zip, read strictly: where two zip readers could disagree about an archive, it is refused. Structure after
/// PKWARE's APPNOTE 6.3.10, §4.3; field offsets are those of its tables.
/// </summary>
internal sealed class ZipDirectory
{
    private const uint EndSignature = 0x06054b50;
    private const uint Zip64LocatorSignature = 0x07064b50;
    private const uint Zip64EndSignature = 0x06064b50;
    private const uint EntrySignature = 0x02014b50;
    private const int EndBytes = 22;
    private const int Zip64LocatorBytes = 20;
    private const int Zip64EndBytes = 56;
    private const int EntryBytes = 46;
    private const ushort Zip64ExtraId = 1;

    private static readonly UTF8Encoding StrictUtf8 = new(false, throwOnInvalidBytes: true);

    private readonly Dictionary<string, ZipEntry> _entries;

    private ZipDirectory(Dictionary<string, ZipEntry> entries, string prefix) => (_entries, Prefix) = (entries, prefix);

    /// <summary>The folder that all entries are in, with its slash.</summary>
    public string Prefix { get; }

    /// <summary>The entry called <paramref name="name"/> within <see cref="Prefix"/>, or null.</summary>
    public ZipEntry? Find(string name) => _entries.TryGetValue(Prefix + name, out var entry) && entry.Name == Prefix + name ? entry : null;

    /// <summary>The end of the file, in which the end records lie whatever the archive's comment.</summary>
    public static ByteRange TailRange(long fileLength)
    {
        var length = Math.Min(fileLength, EndBytes + ushort.MaxValue + Zip64LocatorBytes + Zip64EndBytes);
        return new(fileLength - length, length);
    }

    /// <summary>Finds where the directory is.</summary>
    /// <param name="tail">The bytes of <see cref="TailRange"/>.</param>
    /// <param name="fileLength">Bytes of the file.</param>
    /// <param name="limits">Bounds on the directory.</param>
    public static (ByteRange Range, long Entries) Locate(ReadOnlySpan<byte> tail, long fileLength, CheckpointLimits limits)
    {
        var tailStart = fileLength - tail.Length;
        var end = FindEndRecord(tail, fileLength);
        var record = tail[end..];
        long entries = BinaryPrimitives.ReadUInt16LittleEndian(record[10..]);
        long length = BinaryPrimitives.ReadUInt32LittleEndian(record[12..]);
        long offset = BinaryPrimitives.ReadUInt32LittleEndian(record[16..]);
        if (BinaryPrimitives.ReadUInt32LittleEndian(record[4..]) != 0 || BinaryPrimitives.ReadUInt16LittleEndian(record[8..]) != entries)
        {
            throw Errors.ZipInconsistent("its end record speaks of several disks", tailStart + end);
        }

        var directoryEnd = tailStart + end;
        if (end >= Zip64LocatorBytes && Signature(tail[(end - Zip64LocatorBytes)..]) == Zip64LocatorSignature)
        {
            (directoryEnd, var entries64, var length64, var offset64) = ReadZip64(tail, end - Zip64LocatorBytes, tailStart);
            if ((entries != entries64 && entries != ushort.MaxValue) || (length != length64 && length != uint.MaxValue)
                || (offset != offset64 && offset != uint.MaxValue))
            {
                throw Errors.ZipInconsistent("its two end records disagree", tailStart + end);
            }

            (entries, length, offset) = (entries64, length64, offset64);
        }

        var range = new ByteRange(offset, length);
        if (length == 0 || !range.LiesWithin(fileLength) || range.End != directoryEnd)
        {
            throw Errors.ZipInconsistent($"its directory is announced at bytes {offset}+{length}, expected to end at {directoryEnd}", tailStart + end);
        }

        return length <= limits.MaxDirectoryBytes
            ? (range, entries)
            : throw Errors.LimitExceeded("the zip directory's bytes", length, limits.MaxDirectoryBytes, nameof(limits.MaxDirectoryBytes));
    }

    /// <summary>Reads the directory.</summary>
    /// <param name="directory">Its bytes.</param>
    /// <param name="range">Where they lie.</param>
    /// <param name="count">How many entries the end record announces.</param>
    public static ZipDirectory Read(ReadOnlySpan<byte> directory, ByteRange range, long count)
    {
        var (listed, isTorch) = (new List<(ZipEntry Entry, long Offset)>(), false);
        for (var at = 0; at < directory.Length;)
        {
            var entry = ReadEntry(directory[at..], range.Offset + at, out var length);
            isTorch |= entry.Name.EndsWith("data.pkl", StringComparison.OrdinalIgnoreCase);
            listed.Add((entry, range.Offset + at));
            at += length;
        }

        if (!isTorch && listed.Count > 0)
        {
            throw Errors.OtherZip([.. listed.Select(item => item.Entry.Name)]);
        }

        // PyTorch's reader looks entries up whatever their case.
        var entries = new Dictionary<string, ZipEntry>(StringComparer.OrdinalIgnoreCase);
        string? prefix = null;
        foreach (var (entry, at) in listed)
        {
            prefix ??= entry.Name[..(entry.Name.IndexOf('/', StringComparison.Ordinal) + 1)];
            if (prefix.Length <= 1 || !entry.Name.StartsWith(prefix, StringComparison.Ordinal) || Climbs(entry.Name))
            {
                throw Errors.ZipEntryOutside(entry.Name, prefix, at);
            }

            if (!entries.TryAdd(entry.Name, entry))
            {
                var other = entries[entry.Name].Name;
                throw other == entry.Name ? Errors.ZipDuplicate(entry.Name, at) : Errors.ZipTwins(entry.Name, other, at);
            }
        }

        if (entries.Count != count || prefix is null)
        {
            throw Errors.ZipInconsistent($"it has {entries.Count} entries and announces {count}", range.Offset);
        }

        Bound(entries.Values, range.Offset);
        return new(entries, prefix);
    }

    private static bool Climbs(string name) => name.StartsWith("../", StringComparison.Ordinal) || name.EndsWith("/..", StringComparison.Ordinal)
        || name.Contains("/../", StringComparison.Ordinal);

    // The last that looks like an end record must fit, its comment reach to the end of the file, and no other do so: some readers take the last
    // one, some the first that fits.
    private static int FindEndRecord(ReadOnlySpan<byte> tail, long fileLength)
    {
        var found = -1;
        for (var at = tail.Length - EndBytes; at >= 0; at--)
        {
            if (Signature(tail[at..]) != EndSignature)
            {
                continue;
            }

            var fits = at + EndBytes + BinaryPrimitives.ReadUInt16LittleEndian(tail[(at + 20)..]) == tail.Length;
            if (fits != found < 0)
            {
                throw Errors.ZipInconsistent(
                    fits ? "two end records fit it" : "its end record does not reach to its end", fileLength - tail.Length + at);
            }

            found = found < 0 ? at : found;
        }

        return found >= 0 ? found : throw Errors.NoZipEnd(fileLength);
    }

    private static (long Offset, long Entries, long Length, long DirectoryOffset) ReadZip64(ReadOnlySpan<byte> tail, int locator, long tailStart)
    {
        var offset = BinaryPrimitives.ReadInt64LittleEndian(tail[(locator + 8)..]);
        var at = offset - tailStart;
        if (at < 0 || at != locator - Zip64EndBytes || Signature(tail[(int)at..]) != Zip64EndSignature)
        {
            throw Errors.ZipInconsistent("its ZIP64 end record is not where the locator says", tailStart + locator);
        }

        var record = tail[(int)at..];
        var entries = BinaryPrimitives.ReadInt64LittleEndian(record[32..]);
        if (BinaryPrimitives.ReadUInt64LittleEndian(record[16..]) != 0 || BinaryPrimitives.ReadInt64LittleEndian(record[24..]) != entries)
        {
            throw Errors.ZipInconsistent("its ZIP64 end record speaks of several disks", offset);
        }

        return (offset, entries, BinaryPrimitives.ReadInt64LittleEndian(record[40..]), BinaryPrimitives.ReadInt64LittleEndian(record[48..]));
    }

    private static ZipEntry ReadEntry(ReadOnlySpan<byte> entry, long position, out int length)
    {
        if (entry.Length < EntryBytes || Signature(entry) != EntrySignature)
        {
            throw Errors.ZipInconsistent("an entry of its directory is cut or damaged", position);
        }

        int nameLength = BinaryPrimitives.ReadUInt16LittleEndian(entry[28..]);
        int extraLength = BinaryPrimitives.ReadUInt16LittleEndian(entry[30..]);
        length = EntryBytes + nameLength + extraLength + BinaryPrimitives.ReadUInt16LittleEndian(entry[32..]);
        if (entry.Length < length)
        {
            throw Errors.ZipInconsistent("an entry of its directory is cut or damaged", position);
        }

        long packed = BinaryPrimitives.ReadUInt32LittleEndian(entry[20..]);
        long size = BinaryPrimitives.ReadUInt32LittleEndian(entry[24..]);
        long offset = BinaryPrimitives.ReadUInt32LittleEndian(entry[42..]);
        ReadZip64Extra(entry.Slice(EntryBytes + nameLength, extraLength), position, ref size, ref packed, ref offset);
        return new(
            Name(entry.Slice(EntryBytes, nameLength), position),
            BinaryPrimitives.ReadUInt16LittleEndian(entry[8..]),
            BinaryPrimitives.ReadUInt16LittleEndian(entry[10..]),
            packed,
            size,
            offset);
    }

    // §4.5.3: only the values that do not fit their 32-bit field are there, in this order.
    private static void ReadZip64Extra(ReadOnlySpan<byte> extra, long position, ref long size, ref long packed, ref long offset)
    {
        while (extra.Length >= 4)
        {
            int fieldLength = BinaryPrimitives.ReadUInt16LittleEndian(extra[2..]);
            if (fieldLength > extra.Length - 4)
            {
                throw Errors.ZipInconsistent("an extra field of its directory is cut or damaged", position);
            }

            if (BinaryPrimitives.ReadUInt16LittleEndian(extra) == Zip64ExtraId)
            {
                var field = extra.Slice(4, fieldLength);
                Widen(ref field, ref size, position);
                Widen(ref field, ref packed, position);
                Widen(ref field, ref offset, position);
            }

            extra = extra[(4 + fieldLength)..];
        }
    }

    private static void Widen(ref ReadOnlySpan<byte> field, ref long value, long position)
    {
        if (value != uint.MaxValue)
        {
            return;
        }

        if (field.Length < sizeof(long) || BinaryPrimitives.ReadInt64LittleEndian(field) is var wide && wide < 0)
        {
            throw Errors.ZipInconsistent("a ZIP64 field of its directory is cut or damaged", position);
        }

        value = BinaryPrimitives.ReadInt64LittleEndian(field);
        field = field[sizeof(long)..];
    }

    // Entries may not overlap each other or the directory; each is given the bytes up to the next.
    private static void Bound(IEnumerable<ZipEntry> entries, long directoryOffset)
    {
        var limit = directoryOffset;
        foreach (var entry in entries.OrderByDescending(entry => entry.HeaderOffset))
        {
            var minimum = ZipEntry.HeaderBytes + Encoding.UTF8.GetByteCount(entry.Name);
            if (entry.HeaderOffset > limit - minimum || entry.PackedBytes > limit - minimum - entry.HeaderOffset)
            {
                throw Errors.ZipEntryTooLong(entry.Name, entry.HeaderOffset, entry.PackedBytes, limit);
            }

            entry.Limit = limit;
            limit = entry.HeaderOffset;
        }

        if (limit != 0)
        {
            throw Errors.ZipInconsistent($"{limit} bytes lie before its first entry", 0);
        }
    }

    private static string Name(ReadOnlySpan<byte> utf8, long position)
    {
        try
        {
            return StrictUtf8.GetString(utf8);
        }
        catch (DecoderFallbackException)
        {
            throw Errors.ZipInconsistent("the name of an entry is not UTF-8", position);
        }
    }

    private static uint Signature(ReadOnlySpan<byte> bytes) => BinaryPrimitives.ReadUInt32LittleEndian(bytes);
}
