using System.Buffers.Binary;
using System.Globalization;
using System.Text;

namespace CloudShards.Fuzzing;

/// <summary>Writes safetensors files and manifests that are nearly right.</summary>
internal static class SafetensorsGrammar
{
    private static readonly string[] DTypes = ["F32", "F16", "BOOL", "I64", "F4", "F6_E2M3", "C64", "C128", "U8", "F8_E8M0", "X1", "f32"];
    private static readonly string[] Names = ["a", "b", "a.b", "", "__metadata__", "\\u0061", "\\ud800", "é", "w w", "\\\"", "x\\u0000"];
    private static readonly string[] Values = ["0", "4", "8", "-1", "4.0", "1e3", "9223372036854775807", "18446744073709551616", "null", "true", "\"4\"", "[]", "{}", "[0,4]"];

    private static readonly string[] Files = ["a.safetensors", "b.safetensors", "a/b", "..", "C:x", "/etc/passwd", "\\u002e\\u002e", "x\\u0000"];

    public static byte[] File(Random random)
    {
        var (header, offset) = (new StringBuilder("{"), 0);
        for (var n = random.Next(5); n > 0; n--)
        {
            var (rank, bytes) = (random.Next(3), random.Next(4) * 8);
            header.Append(CultureInfo.InvariantCulture, $"\"{Pick(random, Names)}{(random.Next(2) == 0 ? n : "")}\":{{\"dtype\":\"{Pick(random, DTypes)}\",\"shape\":[");
            header.AppendJoin(',', Enumerable.Range(0, rank).Select(_ => Value(random, random.Next(5))));
            header.Append(CultureInfo.InvariantCulture, $"],\"data_offsets\":[{Value(random, offset)},{Value(random, offset + bytes)}]}}{(n > 1 ? "," : "")}");
            offset += bytes;
        }

        header.Append('}').Append(' ', random.Next(9));
        var utf8 = Mangle(random, Encoding.UTF8.GetBytes(header.ToString()));
        var file = new byte[8 + utf8.Length + offset];
        BinaryPrimitives.WriteInt64LittleEndian(file, utf8.Length + (random.Next(20) == 0 ? random.Next(-3, 4) : 0));
        utf8.CopyTo(file, 8);
        return file;
    }

    public static byte[] Manifest(Random random)
    {
        var digest = "sha256:" + new string("0123456789abcdefg"[random.Next(random.Next(20) == 0 ? 17 : 16)], 64);
        var tensors = string.Join(',', Enumerable.Range(0, random.Next(4)).Select(i =>
            $"{{\"name\":\"{Pick(random, Names)}{i}\",\"dtype\":\"F32\",\"shape\":[{Value(random, 2)}],\"bytes\":{Value(random, 8)},\"digest\":\"{digest}\",\"chunks\":[\"{random.NextInt64():x16}\"]}}"));
        var places = string.Join(',', Enumerable.Range(0, random.Next(4)).Select(i =>
            $"{{\"name\":{Value(random, 0, $"\"{Pick(random, Names)}{i}\"")},\"{(random.Next(12) == 0 ? "name" : "offset")}\":{Value(random, 8 * i)}}}"));
        var packs = random.Next(3) == 0 ? $",\"packs\":[{{\"digest\":\"{digest}\",\"bytes\":{Value(random, 64)},\"tensors\":[{places}]}}]" : "";
        var json = $"{{\"schema\":\"cloudshards/1\",\"name\":\"n\",\"source\":[],\"chunkBytes\":{Value(random, 16)},\"tensors\":[{tensors}]{packs},\"metadata\":{{}},\"values\":{Value(random, 0, "{}")}}}";
        return Mangle(random, Encoding.UTF8.GetBytes(json));
    }

    public static byte[] Index(Random random)
    {
        var entries = string.Join(',', Enumerable.Range(0, random.Next(5)).Select(i =>
            $"\"{Pick(random, Names)}{(random.Next(8) == 0 ? "" : i)}\":{(random.Next(10) == 0 ? Pick(random, Values) : $"\"{Pick(random, Files)}\"")}"));
        var json = $"{{\"metadata\":{Value(random, 0, "{\"total_size\":8.0}")},\"weight_map\":{Value(random, 0, $"{{{entries}}}")}}}";
        return Mangle(random, Encoding.UTF8.GetBytes(json));
    }

    private static string Value(Random random, int likely, string? or = null) =>
        random.Next(12) == 0 ? Pick(random, Values) : or ?? likely.ToString(CultureInfo.InvariantCulture);

    private static byte[] Mangle(Random random, byte[] utf8) => random.Next(4) == 0 ? Mutations.Apply(random, utf8, utf8) : utf8;

    private static string Pick(Random random, string[] from) => from[random.Next(from.Length)];
}
