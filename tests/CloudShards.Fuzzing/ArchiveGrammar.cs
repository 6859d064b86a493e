using System.Buffers.Binary;
using System.Text;

namespace CloudShards.Fuzzing;

/// <summary>Writes the archives that checkpoints lie in, nearly right: zips whose records disagree, files of before PyTorch 1.6, and tars.</summary>
internal static class ArchiveGrammar
{
    private static readonly string[] Names =
        ["a/data.pkl", "a/DATA.PKL", "a/data/0", "a/data/1", "a/Data/0", "b/data/0", "a/byteorder", "a/version", "a/constants.pkl", "../a", "a/../b", "a/", "data.pkl", ""];

    private static readonly byte[][] Contents = ["}."u8.ToArray(), [0x80, 2, (byte)']', (byte)'.'], new byte[16], "big"u8.ToArray(), "little"u8.ToArray(), [], new byte[300]];
    private static readonly string[] Keys = ["0", "1", "2", "94340341200128"];

    /// <summary>A zip: entries, directory, end records, any of whose fields may tell something else than what is true.</summary>
    public static byte[] Zip(Random random)
    {
        var (body, directory, entries) = (new MemoryStream(), new MemoryStream(), random.Next(1, 7));
        for (var i = 0; i < entries; i++)
        {
            var name = Encoding.UTF8.GetBytes(random.Next(4) == 0 ? Names[random.Next(Names.Length)] : Names[Math.Min(i, 3)]);
            var content = i == 0 && random.Next(3) > 0 ? PickleGrammar.Make(random) : Contents[random.Next(Contents.Length)];
            var (offset, extra) = (body.Length, random.Next(6) == 0 ? Extra(random, content.Length) : []);
            Write(random, body, 0x04034b50u, (ushort)20, Flags(random), Method(random), 0u, 0u, (uint)content.Length, (uint)content.Length, (ushort)name.Length, (ushort)extra.Length);
            body.Write([.. name, .. extra, .. content, .. random.Next(10) == 0 ? new byte[random.Next(20)] : []]);
            Write(
                random, directory, 0x02014b50u, (ushort)20, (ushort)20, Flags(random), Method(random), 0u, 0u,
                extra.Length > 0 && random.Next(2) == 0 ? uint.MaxValue : (uint)content.Length, (uint)content.Length,
                (ushort)name.Length, (ushort)extra.Length, (ushort)0, (ushort)0, (ushort)0, 0u, (uint)offset);
            directory.Write([.. name, .. extra]);
        }

        var (start, end) = (body.Length, body.Length + directory.Length);
        body.Write(directory.ToArray());
        if (random.Next(3) == 0)
        {
            Write(random, body, 0x06064b50u, 44L, (ushort)0, (ushort)0, 0u, 0u, (long)entries, (long)entries, end - start, start, 0x07064b50u, 0u, end, 1u);
        }

        var comment = random.Next(6) == 0 ? new byte[random.Next(40)] : [];
        Write(random, body, 0x06054b50u, (ushort)0, (ushort)0, (ushort)entries, (ushort)entries, (uint)(end - start), (uint)start, (ushort)comment.Length);
        body.Write(comment);
        return body.ToArray();
    }

    /// <summary>Five pickles and the storages that the fifth lists.</summary>
    public static byte[] Legacy(Random random)
    {
        var (file, keys) = (new MemoryStream(), random.Next(4));
        file.Write([0x80, 2, 0x8a, 0x0a, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19, (byte)'.', 0x80, 2, (byte)'M', 0xe9, 3, (byte)'.']);
        file.Write([0x80, 2, (byte)'}', (byte)'U', 13, .. "little_endian"u8, (byte)(random.Next(20) == 0 ? 0x89 : 0x88), (byte)'s', (byte)'.']);
        file.Write(random.Next(4) == 0 ? PickleGrammar.Make(random) : Tensors(random, keys));
        file.Write("]("u8);
        for (var i = 0; i < keys; i++)
        {
            Text(file, Keys[random.Next(12) == 0 ? random.Next(Keys.Length) : i]);
        }

        file.Write("e."u8);
        for (var i = 0; i < keys; i++)
        {
            var count = new byte[8];
            count[0] = (byte)(random.Next(16) == 0 ? random.Next(256) : 4);
            file.Write([.. count, .. new byte[16]]);
        }

        return random.Next(3) == 0 ? Mutations.Apply(random, file.ToArray(), file.ToArray()) : file.ToArray();
    }

    /// <summary>The three members of a tar of before PyTorch 0.1.10.</summary>
    public static byte[] Tar(Random random)
    {
        var (storages, tensors, count) = (new MemoryStream(), new MemoryStream(), random.Next(4));
        storages.Write([(byte)'K', (byte)count, (byte)'.']);
        tensors.Write([(byte)'K', (byte)count, (byte)'.']);
        for (var i = 0; i < count; i++)
        {
            storages.Write([(byte)'(', (byte)'K', (byte)Near(random, i), (byte)'U', 3, .. "cpuctorch\nFloatStorage\nt."u8, 4, 0, 0, 0, 0, 0, 0, 0, .. new byte[16]]);
            tensors.Write([(byte)'(', (byte)'K', (byte)(10 + Near(random, i)), (byte)'K', (byte)Near(random, i), .. "ctorch\nFloatTensor\nt."u8]);
            Write(random, tensors, 1, 0, 4L, 1L, 0L);
        }

        storages.Write("]."u8);
        var pickle = new MemoryStream();
        pickle.Write("}("u8);
        for (var i = 0; i < count; i++)
        {
            Text(pickle, $"w{i}");
            Text(pickle, $"{10 + Near(random, i)}");
            pickle.WriteByte((byte)'Q');
        }

        pickle.Write("u."u8);
        var file = new MemoryStream();
        foreach (var (name, content) in ((string, MemoryStream)[])[("storages", storages), ("tensors", tensors), ("pickle", pickle)])
        {
            var header = new byte[512];
            Encoding.ASCII.GetBytes(name).CopyTo(header, 0);
            Encoding.ASCII.GetBytes(Convert.ToString(content.Length + (random.Next(30) == 0 ? random.Next(-600, 600) : 0), 8)).CopyTo(header, 124);
            header[156] = (byte)'0';
            "ustar"u8.CopyTo(header.AsSpan(257));
            file.Write([.. header, .. content.ToArray(), .. new byte[(512 - (content.Length % 512)) % 512]]);
        }

        file.Write(new byte[1024]);
        return random.Next(4) == 0 ? Mutations.Apply(random, file.ToArray(), file.ToArray()) : file.ToArray();
    }

    private static byte[] Tensors(Random random, int keys)
    {
        var pickle = new MemoryStream();
        pickle.Write("}("u8);
        for (var i = 0; i < keys; i++)
        {
            Text(pickle, $"w{i}");
            pickle.Write("ctorch._utils\n_rebuild_tensor\n(("u8);
            Text(pickle, "storage");
            pickle.Write("ctorch\nFloatStorage\n"u8);
            Text(pickle, Keys[Near(random, i) % Keys.Length]);
            Text(pickle, "cpu");
            pickle.Write([(byte)'K', (byte)(random.Next(20) == 0 ? 5 : 4), .. random.Next(2) == 0 ? "N"u8 : [], .. "tQK\0K"u8, (byte)random.Next(1, 6), 0x85, (byte)'K', 1, 0x85, .. "tR"u8]);
        }

        pickle.Write("u."u8);
        return pickle.ToArray();
    }

    private static int Near(Random random, int number) => random.Next(25) == 0 ? random.Next(4) : number;

    private static ushort Flags(Random random) => (ushort)(random.Next(12) == 0 ? random.Next(16) : 0);

    private static ushort Method(Random random) => (ushort)(random.Next(25) == 0 ? 8 : 0);

    private static byte[] Extra(Random random, int size)
    {
        byte[] field = [1, 0, (byte)(8 * random.Next(4)), 0, .. BitConverter.GetBytes((long)size), .. BitConverter.GetBytes(random.NextInt64()), .. new byte[8]];
        return field[..random.Next(3, field.Length)];
    }

    private static void Text(Stream to, string text) => to.Write([(byte)'U', (byte)text.Length, .. Encoding.ASCII.GetBytes(text)]);

    // Little-endian, each by its type; now and then another number.
    private static void Write(Random random, Stream to, params ReadOnlySpan<object> numbers)
    {
        Span<byte> bytes = stackalloc byte[8];
        foreach (var number in numbers)
        {
            var length = number switch { ushort => 2, uint or int => 4, _ => 8 };
            var value = Convert.ToInt64(number, System.Globalization.CultureInfo.InvariantCulture);
            BinaryPrimitives.WriteInt64LittleEndian(bytes, random.Next(150) == 0 ? Mutations.Number(random, value) : value);
            to.Write(bytes[..length]);
        }
    }
}
