using System.Buffers;
using System.Buffers.Binary;
using System.Text;

namespace CloudShards.Formats.Tests.Files;

/// <summary>An entry of a zip, and where its records tell something else than what is true.</summary>
/// <param name="Name">The whole name in the directory.</param>
/// <param name="Content">What is stored.</param>
internal sealed record ZipBytesEntry(string Name, byte[] Content)
{
    public string? LocalName { get; init; }

    public ushort Flags { get; init; }

    public ushort? LocalFlags { get; init; }

    public ushort Method { get; init; }

    public ushort? LocalMethod { get; init; }

    /// <summary>The size in the local header; 0 there with <see cref="Flags"/> bit 3 means that a descriptor follows.</summary>
    public uint? LocalSize { get; init; }

    public uint? PackedSize { get; init; }

    public uint? Size { get; init; }

    public uint? HeaderOffset { get; init; }

    public byte[] Extra { get; init; } = [];

    public byte[] LocalExtra { get; init; } = [];

    /// <summary>Bytes between this entry and the next.</summary>
    public byte[] Rest { get; init; } = [];
}

/// <summary>A zip byte by byte, after PKWARE's APPNOTE §4.3, and where its end record tells something else than what is true.</summary>
internal sealed record ZipBytes(params IReadOnlyList<ZipBytesEntry> Entries)
{
    public byte[] Comment { get; init; } = [];

    public ushort? EntryCount { get; init; }

    public uint? DirectorySize { get; init; }

    public uint? DirectoryOffset { get; init; }

    /// <summary>Whether a ZIP64 end record and locator precede the end record, as PyTorch writes them.</summary>
    public bool Zip64 { get; init; }

    public long? Zip64EntryCount { get; init; }

    public long? Zip64EntryCountOnDisk { get; init; }

    public long? Zip64Offset { get; init; }

    public ushort Disk { get; init; }

    /// <summary>What <c>torch.save</c> writes: <c>data.pkl</c>, a record for each TorchStorage, <c>version</c>.</summary>
    public static byte[] Checkpoint(byte[] pickle, params (string Key, byte[] Content)[] storages) =>
        new ZipBytes([.. CheckpointEntries(pickle, storages)]).ToArray();

    public static IEnumerable<ZipBytesEntry> CheckpointEntries(byte[] pickle, params (string Key, byte[] Content)[] storages) =>
    [
        new("archive/data.pkl", pickle),
        .. storages.Select(storage => new ZipBytesEntry($"archive/data/{storage.Key}", storage.Content)),
        new("archive/version", "3\n"u8.ToArray()),
    ];

    public byte[] ToArray()
    {
        var zip = new ArrayBufferWriter<byte>();
        var offsets = new List<int>();
        foreach (var entry in Entries)
        {
            offsets.Add(zip.WrittenCount);
            WriteLocal(zip, entry);
        }

        var start = zip.WrittenCount;
        foreach (var (entry, offset) in Entries.Zip(offsets))
        {
            WriteCentral(zip, entry, offset);
        }

        WriteEnd(zip, start, zip.WrittenCount - start);
        return zip.WrittenSpan.ToArray();
    }

    private static void WriteLocal(ArrayBufferWriter<byte> zip, ZipBytesEntry entry)
    {
        var name = Encoding.UTF8.GetBytes(entry.LocalName ?? entry.Name);
        var size = entry.LocalSize ?? (uint)entry.Content.Length;
        Numbers(zip, 0x04034b50u, (ushort)0, entry.LocalFlags ?? entry.Flags, entry.LocalMethod ?? entry.Method, 0u, 0u, size, size);
        Numbers(zip, (ushort)name.Length, (ushort)entry.LocalExtra.Length);
        zip.Write(name);
        zip.Write(entry.LocalExtra);
        zip.Write(entry.Content);
        zip.Write(entry.Rest);
    }

    private static void WriteCentral(ArrayBufferWriter<byte> zip, ZipBytesEntry entry, int offset)
    {
        var name = Encoding.UTF8.GetBytes(entry.Name);
        Numbers(zip, 0x02014b50u, (ushort)0, (ushort)0, entry.Flags, entry.Method, 0u, 0u);
        Numbers(zip, entry.PackedSize ?? (uint)entry.Content.Length, entry.Size ?? (uint)entry.Content.Length);
        Numbers(zip, (ushort)name.Length, (ushort)entry.Extra.Length, (ushort)0, (ushort)0, (ushort)0, 0u, entry.HeaderOffset ?? (uint)offset);
        zip.Write(name);
        zip.Write(entry.Extra);
    }

    private void WriteEnd(ArrayBufferWriter<byte> zip, int start, int size)
    {
        if (Zip64)
        {
            var end = zip.WrittenCount;
            var count = Zip64EntryCount ?? Entries.Count;
            Numbers(zip, 0x06064b50u, 44L, (ushort)0, (ushort)0, 0u, 0u, Zip64EntryCountOnDisk ?? count, count, (long)size, (long)start);
            Numbers(zip, 0x07064b50u, 0u, Zip64Offset ?? end, 1u);
        }

        var entries = EntryCount ?? (ushort)Entries.Count;
        Numbers(zip, 0x06054b50u, Disk, Disk, entries, entries, DirectorySize ?? (uint)size, DirectoryOffset ?? (uint)start, (ushort)Comment.Length);
        zip.Write(Comment);
    }

    private static void Numbers(ArrayBufferWriter<byte> zip, params ReadOnlySpan<object> numbers)
    {
        foreach (var number in numbers)
        {
            switch (number)
            {
                case ushort value:
                    BinaryPrimitives.WriteUInt16LittleEndian(zip.GetSpan(2), value);
                    zip.Advance(2);
                    break;
                case uint value:
                    BinaryPrimitives.WriteUInt32LittleEndian(zip.GetSpan(4), value);
                    zip.Advance(4);
                    break;
                case long value:
                    BinaryPrimitives.WriteInt64LittleEndian(zip.GetSpan(8), value);
                    zip.Advance(8);
                    break;
                default:
                    throw new ArgumentException($"A {number.GetType().Name} is no number of a zip.", nameof(numbers));
            }
        }
    }
}
