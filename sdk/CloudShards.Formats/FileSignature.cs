using System.Buffers.Binary;
using System.Text;

namespace CloudShards.Formats;

/// <summary>Tells formats apart by the first bytes of a file.</summary>
internal static class FileSignature
{
    /// <summary>How much of a file recognition looks at; a small safetensors header lies within it.</summary>
    public const int HeadBytes = 16 << 10;

    private const int TarMagicOffset = 257;

    // Files that people upload by mistake or in hope, by their first bytes.
    private static readonly (byte[] Start, string Name)[] Strangers =
    [
        ("version https://git-lfs"u8.ToArray(), "a Git LFS pointer instead of the file itself; run `git lfs pull` and upload what it fetches"),
        ([0x1f, 0x8b], "a gzip archive; unpack it and upload the checkpoint inside"),
        ("BZh"u8.ToArray(), "a bzip2 archive; unpack it and upload the checkpoint inside"),
        ([0xfd, (byte)'7', (byte)'z', (byte)'X', (byte)'Z', 0], "an xz archive; unpack it and upload the checkpoint inside"),
        ([0x28, 0xb5, 0x2f, 0xfd], "a zstd archive; unpack it and upload the checkpoint inside"),
        ([(byte)'7', (byte)'z', 0xbc, 0xaf], "a 7z archive; unpack it and upload the checkpoint inside"),
        ("GGUF"u8.ToArray(), "a GGUF file; upload the safetensors or PyTorch checkpoint that it was made from"),
        ([0x89, (byte)'H', (byte)'D', (byte)'F'], "an HDF5 (Keras) file; convert it to safetensors"),
        ([0x93, (byte)'N', (byte)'U', (byte)'M', (byte)'P', (byte)'Y'], "a NumPy array; convert it to safetensors"),
        ("<"u8.ToArray(), "HTML or XML, often an error page saved in place of a download; download the file again"),
    ];

    private static readonly byte[] ZipEntry = [(byte)'P', (byte)'K', 3, 4];
    private static readonly byte[] TorchLegacy = [0x80, 0x02, 0x8a, 0x0a, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19, 0x2e];

    /// <summary>The format that the file starts as.</summary>
    /// <exception cref="CheckpointFormatException">It starts as none that is supported; the message says what it seems to be.</exception>
    public static CheckpointFormat Recognise(ReadOnlySpan<byte> head, long fileLength)
    {
        if (head.StartsWith(ZipEntry))
        {
            return CheckpointFormat.TorchZip;
        }

        if (LooksLikeSafetensors(head))
        {
            return CheckpointFormat.Safetensors;
        }

        throw Unrecognised(head, fileLength);
    }

    private static bool LooksLikeSafetensors(ReadOnlySpan<byte> head) =>
        head.Length > sizeof(ulong) && head[sizeof(ulong)] == '{'
        && BinaryPrimitives.ReadUInt64LittleEndian(head) is var length && length is > 1 and < 1L << 40;

    private static CheckpointFormatException Unrecognised(ReadOnlySpan<byte> head, long fileLength)
    {
        if (head.StartsWith(TorchLegacy))
        {
            return Errors.UnsupportedFormat("a PyTorch checkpoint of before version 1.6");
        }

        if (head[0] == 0x80)
        {
            return Errors.NotACheckpoint("a bare pickle, not something that `torch.save` wrote", fileLength);
        }

        if (head.Length >= TarMagicOffset + 5 && head[TarMagicOffset..].StartsWith("ustar"u8))
        {
            return Errors.UnsupportedFormat("a tar archive, perhaps a PyTorch checkpoint of before version 0.1.10");
        }

        foreach (var (start, name) in Strangers)
        {
            if (head.StartsWith(start))
            {
                return Errors.NotACheckpoint(name, fileLength);
            }
        }

        return Errors.NotACheckpoint(
            head[0] == '{' ? "JSON"
            : IsOnnx(head) ? "an ONNX model; upload the checkpoint that it was exported from"
            : IsText(head) ? "text"
            : null,
            fileLength);
    }

    // A protocol buffer: field 1 is the IR's version, field 2 the producer's name.
    private static bool IsOnnx(ReadOnlySpan<byte> head) => head is [0x08, > 0 and < 0x80, 0x12, ..];

    private static bool IsText(ReadOnlySpan<byte> head)
    {
        var sample = head[..Math.Min(head.Length, 256)];
        foreach (var b in sample)
        {
            if (b < 0x20 && b is not ((byte)'\t' or (byte)'\n' or (byte)'\r'))
            {
                return false;
            }
        }

        // A sample may end inside a character.
        var text = Encoding.UTF8.GetString(sample);
        var bad = text.IndexOf('\uFFFD', StringComparison.Ordinal);
        return bad < 0 || (bad == text.Length - 1 && sample.Length < head.Length);
    }
}
