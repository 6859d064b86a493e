using System.Buffers.Binary;

namespace CloudShards.Fuzzing;

/// <summary>Changes bytes as broken disks, careless programs and attackers do.</summary>
internal static class Mutations
{
    private static readonly long[] Interesting =
        [0, 1, -1, 2, 7, 8, 16, 63, 64, 127, 128, 255, 256, 32767, 65535, 65536, int.MaxValue, int.MinValue, uint.MaxValue, long.MaxValue, long.MinValue, 1L << 32, 1L << 62];

    private static readonly byte[][] Tokens =
    [
        "PK\x3\x4"u8.ToArray(), "PK\x1\x2"u8.ToArray(), "PK\x5\x6"u8.ToArray(), "PK\x6\x6"u8.ToArray(), "PK\x6\x7"u8.ToArray(), "ustar"u8.ToArray(),
        "\"data_offsets\":[0,4]"u8.ToArray(), "\"shape\":[]"u8.ToArray(), "\"dtype\":\"F32\""u8.ToArray(), "__metadata__"u8.ToArray(),
        "cos\nsystem\n"u8.ToArray(), "ctorch._utils\n_rebuild_tensor_v2\n"u8.ToArray(), "ctorch\nFloatStorage\n"u8.ToArray(), "ccollections\nOrderedDict\n)R"u8.ToArray(),
        "]q\0(a"u8.ToArray(), "}q\0(u"u8.ToArray(), [0x8e, 255, 255, 255, 255, 255, 255, 255, 127], [0x8b, 255, 255, 255, 127], [0x95, 0, 0, 0, 0, 0, 0, 0, 128], [(byte)'Q'], [(byte)'R'], [(byte)'b'],
    ];

    /// <summary>A changed copy of <paramref name="file"/>, maybe with a piece of <paramref name="other"/>.</summary>
    public static byte[] Apply(Random random, byte[] file, byte[] other)
    {
        var bytes = new List<byte>(file);
        for (var n = 1 + random.Next(4); n > 0 && bytes.Count > 0; n--)
        {
            Once(random, bytes, other);
        }

        return [.. bytes];
    }

    /// <summary>Another number than <paramref name="number"/>: near to it, or one of those at which programs fail.</summary>
    public static long Number(Random random, long number) =>
        random.Next(2) == 0 ? number + random.Next(-20, 20) : Interesting[random.Next(Interesting.Length)];

    private static void Once(Random random, List<byte> bytes, byte[] other)
    {
        var at = random.Next(bytes.Count);
        switch (random.Next(9))
        {
            case 0:
                bytes[at] ^= (byte)(1 << random.Next(8));
                break;
            case 1:
                bytes[at] = (byte)random.Next(256);
                break;
            case 2:
                Overwrite(bytes, at, NumberBytes(random));
                break;
            case 3:
                bytes.RemoveRange(at, random.Next(Math.Min(64, bytes.Count - at)));
                break;
            case 4:
                bytes.RemoveRange(at, bytes.Count - at);
                break;
            case 5:
                bytes.InsertRange(at, bytes.GetRange(at, random.Next(Math.Min(64, bytes.Count - at))));
                break;
            case 6:
                bytes.InsertRange(at, Tokens[random.Next(Tokens.Length)]);
                break;
            case 7:
                Overwrite(bytes, at, Tokens[random.Next(Tokens.Length)]);
                break;
            default:
                var from = random.Next(other.Length);
                Overwrite(bytes, at, other.AsSpan(from, random.Next(Math.Min(256, other.Length - from))));
                break;
        }
    }

    private static byte[] NumberBytes(Random random)
    {
        var bytes = new byte[sizeof(long)];
        BinaryPrimitives.WriteInt64LittleEndian(bytes, Interesting[random.Next(Interesting.Length)] + random.Next(-2, 3));
        return bytes[..(1 << random.Next(4))];
    }

    private static void Overwrite(List<byte> bytes, int at, ReadOnlySpan<byte> with)
    {
        for (var i = 0; i < with.Length && at + i < bytes.Count; i++)
        {
            bytes[at + i] = with[i];
        }
    }
}
