using System.Text;

namespace CloudShards.Fuzzing;

/// <summary>Writes TorchSharp state dicts that are nearly right.</summary>
internal static class TorchSharpGrammar
{
    public static byte[] Make(Random random)
    {
        var file = new MemoryStream();
        var count = random.Next(5);
        Leb(random, file, count);
        for (var i = 0; i < count; i++)
        {
            var name = Encoding.UTF8.GetBytes(random.Next(8) == 0 ? "same" : $"layer.{i}");
            Leb(random, file, name.Length);
            file.Write(name);
            Leb(random, file, 6);
            var (rank, elements) = (random.Next(3), 1);
            Leb(random, file, rank);
            for (; rank > 0; rank--)
            {
                var size = random.Next(4);
                Leb(random, file, size);
                elements *= size;
            }

            file.Write(new byte[4 * elements]);
        }

        return random.Next(4) == 0 && file.Length > 0 ? Mutations.Apply(random, file.ToArray(), file.ToArray()) : file.ToArray();
    }

    private static void Leb(Random random, Stream to, long value)
    {
        if (random.Next(40) == 0)
        {
            value = random.NextInt64();
        }

        for (; value >= 0x80; value >>= 7)
        {
            to.WriteByte((byte)(value | 0x80));
        }

        to.WriteByte((byte)value);
    }
}
