using System.Buffers.Binary;
using System.Text;

namespace CloudShards.Formats.Tests.Files;

/// <summary>safetensors files put together by hand.</summary>
internal static class SafetensorsBytes
{
    /// <summary>A header, whatever it says, and that many bytes of data.</summary>
    public static byte[] File(string header, int dataBytes = 0) => File(Encoding.UTF8.GetBytes(header), dataBytes);

    public static byte[] File(byte[] header, int dataBytes = 0)
    {
        var file = new byte[sizeof(ulong) + header.Length + dataBytes];
        BinaryPrimitives.WriteUInt64LittleEndian(file, (ulong)header.Length);
        header.CopyTo(file, sizeof(ulong));
        for (var i = 0; i < dataBytes; i++)
        {
            file[sizeof(ulong) + header.Length + i] = (byte)i;
        }

        return file;
    }

    /// <summary>The entry <c>"name": {…}</c> of a header.</summary>
    public static string Entry(string name, string dtype, string shape, long begin, long end) =>
        $$"""
        "{{name}}":{"dtype":"{{dtype}}","shape":{{shape}},"data_offsets":[{{begin}},{{end}}]}
        """;
}
