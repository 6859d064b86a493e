using System.Buffers.Binary;
using System.Text;

namespace CloudShards.Fuzzing;

/// <summary>
/// Writes pickles that remember a few large things and then name them over and over. The same case at several sizes shows whether work grows faster than the
/// file.
/// </summary>
internal static class AmplifierGrammar
{
    // Instructions that repeat well after one or two values; the last joins them to a list again.
    private static readonly byte[][] Combinations =
        [[], [], [], [0x85], [0x86], [(byte)'R'], [0x85, (byte)'R'], [(byte)'R', (byte)'0', (byte)'N'], [(byte)'b'], [0x81], [0x93], [(byte)'2'], [(byte)'Q'], [(byte)'0', (byte)'N']];

    private static readonly string[] Globals =
    [
        "builtins\nlist", "builtins\nset", "builtins\ntuple", "builtins\ndict", "collections\nOrderedDict", "collections\ndefaultdict", "torch\nSize", "m\nNet", "_codecs\nencode",
        "torch._utils\n_rebuild_tensor_v2", "torch._utils\n_rebuild_parameter", "torch\ndevice", "torch._tensor\n_rebuild_from_type_v2",
    ];

    /// <summary>A pickle.</summary>
    /// <param name="random">Decides its form, and is left alike whatever the size.</param>
    /// <param name="size">How many items its large things have, and how often it repeats.</param>
    public static byte[] Make(Random random, int size)
    {
        var (pickle, slots) = (new MemoryStream(), 0);
        pickle.Write([0x80, 2]);
        for (var n = random.Next(2, 7); n > 0; n--)
        {
            Large(random, pickle, size, slots);
            pickle.Write([(byte)'q', (byte)slots++, (byte)'0']);
        }

        pickle.Write("]("u8);
        for (var n = random.Next(1, 4); n > 0; n--)
        {
            Repeat(pickle, size, Body(random, slots));
        }

        pickle.Write("e."u8);
        return pickle.ToArray();
    }

    private static byte[] Body(Random random, int slots)
    {
        var body = new MemoryStream();
        for (var n = random.Next(1, 4); n > 0; n--)
        {
            body.Write([(byte)'h', (byte)random.Next(slots)]);
        }

        body.Write(Combinations[random.Next(Combinations.Length)]);
        if (random.Next(3) == 0)
        {
            body.Write([(byte)'h', (byte)random.Next(slots), .. Combinations[random.Next(Combinations.Length)]]);
        }

        return body.ToArray();
    }

    private static void Large(Random random, MemoryStream pickle, int size, int slots)
    {
        byte[] item = slots > 0 && random.Next(2) == 0 ? [(byte)'h', (byte)random.Next(slots)] : [(byte)'N'];
        switch (random.Next(9))
        {
            case 0:
                pickle.WriteByte((byte)'(');
                Repeat(pickle, size, item);
                pickle.WriteByte((byte)(random.Next(2) == 0 ? 't' : 'l'));
                break;
            case 1:
                pickle.Write("}("u8);
                for (var i = 0; i < size; i++)
                {
                    Integer(pickle, i);
                    pickle.Write(item);
                }

                pickle.WriteByte((byte)'u');
                break;
            case 2:
                Text(pickle, new string('x', size));
                break;
            case 3:
                Tensor(pickle);
                break;
            case 4 or 5:
                pickle.Write(Encoding.ASCII.GetBytes($"c{Globals[random.Next(Globals.Length)]}\n"));
                break;
            case 6:
                Object(pickle, item, size);
                break;
            case 7:
                pickle.Write([(byte)'N', (byte)'}', (byte)'(']);
                Repeat(pickle, size, [(byte)'U', 1, (byte)'a', .. item]);
                pickle.Write([(byte)'u', 0x86]);
                break;
            default:
                // A chain.
                pickle.WriteByte((byte)'N');
                Repeat(pickle, size, [0x85]);
                break;
        }
    }

    // A module or an optimizer, with attributes that do not count.
    private static void Object(MemoryStream pickle, byte[] item, int size)
    {
        pickle.Write([.. "cm\nNet\n)"u8, 0x81, .. "}("u8]);
        foreach (var name in (string[])["_parameters", "_buffers", "_modules", "state"])
        {
            Text(pickle, name);
            pickle.Write([(byte)'}', (byte)'U', 1, (byte)'a', .. item, (byte)'s']);
        }

        Text(pickle, "param_groups");
        pickle.WriteByte((byte)']');
        pickle.WriteByte((byte)'(');
        Repeat(pickle, size, item);
        pickle.WriteByte((byte)'e');
        for (var i = 0; i < size; i++)
        {
            Text(pickle, $"a{i}");
            pickle.WriteByte((byte)'N');
        }

        pickle.Write("ub"u8);
    }

    private static void Tensor(MemoryStream pickle)
    {
        pickle.Write("ctorch._utils\n_rebuild_tensor_v2\n(("u8);
        Text(pickle, "storage");
        pickle.Write("ctorch\nFloatStorage\n"u8);
        Text(pickle, "0");
        Text(pickle, "cpu");
        pickle.Write([.. "K\u0004tQK\0K\u0004"u8, 0x85, (byte)'K', 1, 0x85, 0x89, .. "ccollections\nOrderedDict\n)RtR"u8]);
    }

    private static void Repeat(MemoryStream pickle, int times, byte[] part)
    {
        for (; times > 0; times--)
        {
            pickle.Write(part);
        }
    }

    private static void Integer(MemoryStream pickle, int value)
    {
        Span<byte> bytes = stackalloc byte[5];
        bytes[0] = (byte)'J';
        BinaryPrimitives.WriteInt32LittleEndian(bytes[1..], value);
        pickle.Write(bytes);
    }

    private static void Text(MemoryStream pickle, string text)
    {
        Span<byte> bytes = stackalloc byte[5];
        bytes[0] = (byte)'X';
        BinaryPrimitives.WriteInt32LittleEndian(bytes[1..], text.Length);
        pickle.Write(bytes);
        pickle.Write(Encoding.ASCII.GetBytes(text));
    }
}
