using CloudShards.Formats.Tests.Files;
using static CloudShards.Formats.Tests.Files.PickleBytes;

namespace CloudShards.Formats.Tests.TorchZip;

public sealed class InvalidInputTests
{
    private static readonly byte[] GoodPickle = Pickle(Dict(("w", Tensor(Storage("0", 4), [4]))));
    private static readonly ZipBytesEntry[] Good = [.. ZipBytes.CheckpointEntries(GoodPickle, ("0", new byte[16]))];

    // Faults of the archive, by what is wrong with it.
    private static readonly Dictionary<string, (ZipBytes Zip, CheckpointError Error)> Archives = new()
    {
        ["no entries"] = (new ZipBytes(Good) { EntryCount = 0, DirectorySize = 0 }, CheckpointError.Malformed),
        ["fewer entries than announced"] = (new ZipBytes(Good) { EntryCount = 4 }, CheckpointError.Malformed),
        ["more entries than announced"] = (new ZipBytes(Good) { EntryCount = 2 }, CheckpointError.Malformed),
        ["several disks"] = (new ZipBytes(Good) { Disk = 1 }, CheckpointError.Malformed),
        ["directory elsewhere"] = (new ZipBytes(Good) { DirectoryOffset = 1 }, CheckpointError.Malformed),
        ["directory beyond the file"] = (new ZipBytes(Good) { DirectoryOffset = uint.MaxValue }, CheckpointError.Malformed),
        ["directory too long"] = (new ZipBytes(Good) { DirectorySize = 1 << 20 }, CheckpointError.Malformed),
        ["end records disagree"] = (new ZipBytes(Good) { Zip64 = true, Zip64EntryCount = 4 }, CheckpointError.Malformed),
        ["end record disagrees with itself"] = (new ZipBytes(Good) { Zip64 = true, Zip64EntryCountOnDisk = 2 }, CheckpointError.Malformed),
        ["ZIP64 locator points elsewhere"] = (new ZipBytes(Good) { Zip64 = true, Zip64Offset = 0 }, CheckpointError.Malformed),
        ["ZIP64 locator points before the file"] = (new ZipBytes(Good) { Zip64 = true, Zip64Offset = long.MinValue }, CheckpointError.Malformed),
        ["ZIP64 count beyond all bounds"] = (
            new ZipBytes(Good) { Zip64 = true, EntryCount = ushort.MaxValue, Zip64EntryCount = long.MinValue }, CheckpointError.Malformed),
        ["an end record in the comment that fits"] = (new ZipBytes(Good) { Comment = new ZipBytes().ToArray() }, CheckpointError.Malformed),
        ["an end record in the comment that does not fit"] = (
            new ZipBytes(Good) { Comment = [.. new ZipBytes().ToArray(), .. "junk"u8] }, CheckpointError.Malformed),
        ["no data.pkl"] = (new ZipBytes(Good[1..]), CheckpointError.NotACheckpoint),
        ["entry without a folder"] = (new ZipBytes([.. Good, new("version", [])]), CheckpointError.Malformed),
        ["no folder at all"] = (new ZipBytes([new("data.pkl", GoodPickle)]), CheckpointError.Malformed),
        ["folder without a name"] = (new ZipBytes([new("/data.pkl", GoodPickle), new("/data/0", new byte[16])]), CheckpointError.Malformed),
        ["folder above"] = (new ZipBytes([new("../data.pkl", GoodPickle), new("../data/0", new byte[16])]), CheckpointError.Malformed),
        ["entry in a folder above"] = (new ZipBytes([.. Good, new("archive/../../etc/passwd", [])]), CheckpointError.Malformed),
        ["two folders"] = (new ZipBytes([.. Good, new("other/data.pkl", GoodPickle)]), CheckpointError.Malformed),
        ["two data.pkl"] = (new ZipBytes([.. Good, new("archive/data.pkl", GoodPickle)]), CheckpointError.Malformed),
        ["two records of a key"] = (new ZipBytes([.. Good, new("archive/data/0", new byte[16])]), CheckpointError.Malformed),
        ["byte order of neither kind"] = (new ZipBytes([.. Good, new("archive/byteorder", "middle"u8.ToArray())]), CheckpointError.Malformed),
        ["byte order with more behind"] = (new ZipBytes([.. Good, new("archive/byteorder", "little\n"u8.ToArray())]), CheckpointError.Malformed),
        ["byte order of a megabyte"] = (new ZipBytes([.. Good, new("archive/byteorder", new byte[1 << 20])]), CheckpointError.Malformed),
        ["no record"] = (new ZipBytes([Good[0], Good[2]]), CheckpointError.BadTensor),
        ["record too short"] = (new ZipBytes([Good[0], Good[1] with { Content = new byte[15] }, Good[2]]), CheckpointError.BadTensor),
        ["record too long"] = (new ZipBytes([Good[0], Good[1] with { Content = new byte[17] }, Good[2]]), CheckpointError.BadTensor),
    };

    // Faults of one entry, of data.pkl or of the record of a TorchStorage.
    private static readonly Dictionary<string, (Func<ZipBytesEntry, ZipBytesEntry> Break, CheckpointError Error)> Entries = new()
    {
        ["other name in its header"] = (entry => entry with { LocalName = entry.Name[..^1] + "x" }, CheckpointError.Malformed),
        ["longer name in its header"] = (entry => entry with { LocalName = entry.Name + "x" }, CheckpointError.Malformed),
        ["compressed"] = (entry => entry with { Method = 8 }, CheckpointError.Unsupported),
        ["compressed by its header alone"] = (entry => entry with { LocalMethod = 8 }, CheckpointError.Malformed),
        ["encrypted"] = (entry => entry with { Flags = 1 }, CheckpointError.Unsupported),
        ["encrypted by its header alone"] = (entry => entry with { LocalFlags = 1 }, CheckpointError.Unsupported),
        ["larger than it is packed"] = (entry => entry with { Size = (uint)entry.Content.Length + 1 }, CheckpointError.Unsupported),
        ["smaller by its header"] = (entry => entry with { LocalSize = (uint)entry.Content.Length - 1 }, CheckpointError.Malformed),
        ["empty by its header"] = (entry => entry with { LocalSize = 0 }, CheckpointError.Malformed),
        ["beyond the file"] = (entry => entry with { PackedSize = 1 << 30, Size = 1 << 30 }, CheckpointError.Malformed),
        ["header beyond the file"] = (entry => entry with { HeaderOffset = 1 << 30 }, CheckpointError.Malformed),
        ["header inside itself"] = (entry => entry with { HeaderOffset = entry.Name.Contains("pkl", StringComparison.Ordinal) ? 4u : 0 }, CheckpointError.Malformed),
        ["content over the next entry"] = (entry => entry with { LocalExtra = [], PackedSize = (uint)entry.Content.Length + 40, Size = (uint)entry.Content.Length + 40 }, CheckpointError.Malformed),
        ["ZIP64 size without its field"] = (entry => entry with { Size = uint.MaxValue, Extra = [1, 0, 0, 0] }, CheckpointError.Malformed),
        ["ZIP64 size below zero"] = (entry => entry with { Size = uint.MaxValue, Extra = [1, 0, 8, 0, .. BitConverter.GetBytes(-1L)] }, CheckpointError.Malformed),
        ["extra field cut off"] = (entry => entry with { Extra = [1, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0] }, CheckpointError.Malformed),
    };

    public static TheoryData<string> ArchiveFaults => [.. Archives.Keys];

    public static TheoryData<string, int> EntryFaults => new(Entries.Keys.SelectMany(fault => (int[])[0, 1], (fault, entry) => (fault, entry)));

    [Theory]
    [MemberData(nameof(ArchiveFaults))]
    public void ABrokenArchiveIsRefused(string fault)
    {
        var (zip, error) = Archives[fault];

        Assert.Equal(error, CheckpointBytes.Refuse(zip.ToArray()).Error);
    }

    [Theory]
    [MemberData(nameof(EntryFaults))]
    public void ABrokenEntryIsRefused(string fault, int entry)
    {
        ZipBytesEntry[] entries = [.. Good];
        entries[entry] = Entries[fault].Break(Good[entry]);

        var refusal = CheckpointBytes.Refuse(new ZipBytes(entries).ToArray());

        // A record that ends where it should not is noticed when the tensor is compared with it.
        Assert.True(refusal.Error == Entries[fault].Error || (refusal.Error == CheckpointError.BadTensor && entry == 1), refusal.ToString());
    }

    [Fact]
    public void WhatHonestZipWritersDoIsRead()
    {
        ZipBytes[] honest =
        [
            new(Good),
            new(Good) { Zip64 = true },
            new(Good) { Zip64 = true, EntryCount = ushort.MaxValue, DirectorySize = uint.MaxValue, DirectoryOffset = uint.MaxValue },
            new(Good) { Comment = "saved by hand"u8.ToArray() },
            new(Good) { Comment = new byte[ushort.MaxValue] },
            new(Good.Reverse().ToArray()),
            new([new("archive/", []), new("archive/data/", []), .. Good]),
            new([.. Good, new("archive/byteorder", "little"u8.ToArray()), new("archive/.data/serialization_id", new byte[40])]),
            new(Good.Select(entry => entry with { LocalExtra = [(byte)'F', (byte)'B', 60, 0, .. new byte[60]] }).ToArray()),
            new(Good.Select(entry => entry with { Flags = 0x808, LocalSize = 0, Rest = [.. "PK\u0007\u0008"u8, .. new byte[12]] }).ToArray()),
            new(Good.Select(entry => entry with { LocalSize = uint.MaxValue, LocalExtra = [1, 0, 16, 0, .. new byte[16]] }).ToArray()),
            new(Good.Select(entry => entry with { Size = uint.MaxValue, Extra = [1, 0, 8, 0, .. BitConverter.GetBytes((long)entry.Content.Length)] }).ToArray()),
            new(Good.Select(entry => entry with { Name = entry.Name.Replace("archive", "größe 1", StringComparison.Ordinal) }).ToArray()),
        ];

        Assert.All(honest, zip => Assert.Equal("w", Assert.Single(CheckpointBytes.Describe(zip.ToArray()).Tensors).Name));
    }

    [Fact]
    public void LimitsHold()
    {
        var file = ZipBytes.Checkpoint(
            Pickle(Dict(("abc", Tensor(Storage("0", 4), [2, 2])), ("d", Tensor(Storage("0", 4), [4])), ("v", Integer(1)), ("list", List(Text("0123456789"), None)))),
            ("0", new byte[16]));
        var exact = new CheckpointLimits { MaxTensors = 2, MaxRank = 2, MaxNameLength = 4, MaxValues = 3, MaxDepth = 1, MaxTotalNameLength = 30, MaxPickleMemory = 8000, MaxPickleBytes = 4096, MaxDirectoryBytes = 4096 };

        Assert.Equal(2, CheckpointBytes.Describe(file, exact).Tensors.Length);
        AssertLimit(exact with { MaxTensors = 1 }, nameof(CheckpointLimits.MaxTensors));
        AssertLimit(exact with { MaxRank = 1 }, nameof(CheckpointLimits.MaxRank));
        AssertLimit(exact with { MaxNameLength = 3 }, nameof(CheckpointLimits.MaxNameLength));
        AssertLimit(exact with { MaxValues = 2 }, nameof(CheckpointLimits.MaxValues));
        AssertLimit(exact with { MaxValueBytes = 20 }, nameof(CheckpointLimits.MaxValueBytes));
        AssertLimit(exact with { MaxTotalNameLength = 15 }, nameof(CheckpointLimits.MaxTotalNameLength));
        AssertLimit(exact with { MaxPickleMemory = 2000 }, nameof(CheckpointLimits.MaxPickleMemory));
        AssertLimit(exact with { MaxDepth = 0 }, nameof(CheckpointLimits.MaxDepth));
        AssertLimit(exact with { MaxPickleBytes = 64 }, nameof(CheckpointLimits.MaxPickleBytes));
        AssertLimit(exact with { MaxDirectoryBytes = 64 }, nameof(CheckpointLimits.MaxDirectoryBytes));

        void AssertLimit(CheckpointLimits limits, string option)
        {
            var refusal = CheckpointBytes.Refuse(file, limits);
            Assert.Equal(CheckpointError.LimitExceeded, refusal.Error);
            Assert.Contains(option, refusal.Message, StringComparison.Ordinal);
        }
    }

    // What may be gathered beyond the file's own size is bounded, but for the first 64 MiB.
    [Fact]
    public void ExpansionIsBounded()
    {
        Assert.Equal(64 << 20, Expand(16 << 20)!.Bytes);
        Assert.Null(Expand((16 << 20) + 1));

        static TensorInfo? Expand(long times)
        {
            var file = ZipBytes.Checkpoint(Pickle(Dict(("w", Tensor(Storage("0", 1), [times], [0])))), ("0", new byte[4]));
            var refusal = CheckpointBytes.TryDescribe(file);
            Assert.True(refusal is null or { Error: CheckpointError.LimitExceeded, Tensor: "w" });
            return refusal is null ? CheckpointBytes.Describe(file).Tensors[0] : null;
        }
    }

    [Fact]
    public void TiedTensorsCountOnce()
    {
        var tied = Enumerable.Range(0, 1000).Select(i => ($"w{i}", Tensor(Storage("0", 1 << 20), [1 << 20]))).ToArray();

        Assert.Equal(1000, CheckpointBytes.Describe(ZipBytes.Checkpoint(Pickle(Dict(tied)), ("0", new byte[4 << 20]))).Tensors.Length);
    }
}
