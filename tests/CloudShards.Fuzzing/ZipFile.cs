using System.Buffers.Binary;
using System.IO.Compression;
using System.IO.Hashing;
using System.Text;

namespace CloudShards.Fuzzing;

/// <summary>Takes pickles out of PyTorch's zips, and puts others into zips that are right in every other way.</summary>
internal static class ZipFile
{
    private static readonly byte[][] Records = [new byte[16], new byte[24], new byte[4], new byte[80], []];

    /// <summary>The <c>data.pkl</c> of a zip, or null.</summary>
    public static byte[]? PickleOf(byte[] file)
    {
        try
        {
            using var zip = new ZipArchive(new MemoryStream(file), ZipArchiveMode.Read);
            using var pickle = zip.Entries.FirstOrDefault(entry => entry.Name == "data.pkl")?.Open();
            var bytes = new MemoryStream();
            pickle?.CopyTo(bytes);
            return bytes.Length is > 0 and <= 1 << 16 ? bytes.ToArray() : null;
        }
        catch (InvalidDataException)
        {
            return null;
        }
    }

    /// <summary>A zip of a pickle and a few records, as <c>torch.save</c> lays them out.</summary>
    public static byte[] Around(Random random, byte[] pickle)
    {
        var (body, directory, count) = (new MemoryStream(), new MemoryStream(), (ushort)0);
        Add("a/data.pkl", pickle);
        if (random.Next(8) == 0)
        {
            Add("a/byteorder", random.Next(2) == 0 ? "little"u8.ToArray() : "big"u8.ToArray());
        }

        for (var i = 0; i < Records.Length; i++)
        {
            Add($"a/data/{i}", Records[random.Next(4) == 0 ? random.Next(Records.Length) : i]);
        }

        var end = new byte[22];
        BinaryPrimitives.WriteUInt32LittleEndian(end, 0x06054b50);
        BinaryPrimitives.WriteUInt16LittleEndian(end.AsSpan(8), count);
        BinaryPrimitives.WriteUInt16LittleEndian(end.AsSpan(10), count);
        BinaryPrimitives.WriteUInt32LittleEndian(end.AsSpan(12), (uint)directory.Length);
        BinaryPrimitives.WriteUInt32LittleEndian(end.AsSpan(16), (uint)body.Length);
        return [.. body.ToArray(), .. directory.ToArray(), .. end];

        void Add(string name, byte[] content)
        {
            var (utf8, crc) = (Encoding.UTF8.GetBytes(name), Crc32.HashToUInt32(content));
            var common = new byte[26];
            BinaryPrimitives.WriteUInt32LittleEndian(common.AsSpan(10), crc);
            BinaryPrimitives.WriteInt32LittleEndian(common.AsSpan(14), content.Length);
            BinaryPrimitives.WriteInt32LittleEndian(common.AsSpan(18), content.Length);
            BinaryPrimitives.WriteUInt16LittleEndian(common.AsSpan(22), (ushort)utf8.Length);
            var position = (uint)body.Length;
            body.Write([0x50, 0x4b, 3, 4, .. common, .. utf8, .. content]);
            var tail = new byte[14];
            BinaryPrimitives.WriteUInt32LittleEndian(tail.AsSpan(10), position);
            directory.Write([0x50, 0x4b, 1, 2, 0, 0, .. common, .. tail, .. utf8]);
            count++;
        }
    }
}
