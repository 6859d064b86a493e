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
        ("Rar!\x1a\a"u8.ToArray(), "a RAR archive; unpack it and upload the checkpoint inside"),
        ([(byte)'P', (byte)'K', 5, 6], "an empty zip archive; upload the checkpoint itself"),
        ("GGUF"u8.ToArray(), "a GGUF file; upload the safetensors or PyTorch checkpoint that it was made from"),
        ([0x89, (byte)'H', (byte)'D', (byte)'F'], "an HDF5 (Keras) file; convert it to safetensors"),
        ([0x93, (byte)'N', (byte)'U', (byte)'M', (byte)'P', (byte)'Y'], "a NumPy array; convert it to safetensors"),
    ];

    private static readonly byte[] ZipEntry = [(byte)'P', (byte)'K', 3, 4];

    // The pickle of 0x1950a86a20f9469cfc6c under protocols 2 and 3 (whose second byte differs), 4 and 5, 0 and 1.
    private static readonly byte[] MagicNumber = [0x8a, 0x0a, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19, 0x2e];
    private static readonly byte[] MagicLine = "L119547037146038801333356L\n."u8.ToArray();

    /// <summary>The format that the file starts as; TorchSharp's, which has no mark of its own, where it starts as no other.</summary>
    /// <exception cref="CheckpointFormatException">It starts as something that is no checkpoint; the message says what it seems to be.</exception>
    public static CheckpointFormat Recognise(ReadOnlySpan<byte> head, long fileLength)
    {
        return head.StartsWith(ZipEntry) ? CheckpointFormat.TorchZip
            : IsTorchLegacy(head) ? CheckpointFormat.TorchLegacy
            : LooksLikeSafetensors(head) ? CheckpointFormat.Safetensors
            : head.Length >= TarMagicOffset + 5 && head[TarMagicOffset..].StartsWith("ustar"u8) ? CheckpointFormat.TorchTar
            : Stranger(head) is not null ? throw Unrecognised(head, fileLength)
            : CheckpointFormat.TorchSharp;
    }

    /// <summary>
    /// The refusal of a file that is of no known format. What is told by a byte or two is told only here: TorchSharp's files begin with their number of
    /// tensors, which may be 60 (<c>&lt;</c>), 123 (<c>{</c>) or 128 (0x80).
    /// </summary>
    public static CheckpointFormatException Unrecognised(ReadOnlySpan<byte> head, long fileLength) => Errors.NotACheckpoint(
        head[0] == 0x80 ? "a bare pickle, not something that `torch.save` wrote"
        : Stranger(head) ?? (head[0] == '{' ? "JSON"
            : head[0] == '<' ? "HTML or XML, often an error page saved in place of a download; download the file again"
            : head.StartsWith((ReadOnlySpan<byte>)[0xff, 0xfe]) || head.StartsWith((ReadOnlySpan<byte>)[0xfe, 0xff]) ? "text in UTF-16"
            : IsOnnx(head) ? "an ONNX model; upload the checkpoint that it was exported from"
            : IsText(head) ? "text" : null),
        fileLength);

    private static bool IsTorchLegacy(ReadOnlySpan<byte> head)
    {
        const int FrameBytes = 9;
        return head.StartsWith(MagicLine)
            || (head.Length > 2 && head[0] == 0x80 && head[1] is 2 or 3 && head[2..].StartsWith(MagicNumber))
            || (head.Length > 2 + FrameBytes && head[0] == 0x80 && head[1] is 4 or 5 && head[2] == 0x95 && head[(2 + FrameBytes)..].StartsWith(MagicNumber));
    }

    private static bool LooksLikeSafetensors(ReadOnlySpan<byte> head) =>
        head.Length > sizeof(ulong) && head[sizeof(ulong)] == '{'
        && BinaryPrimitives.ReadUInt64LittleEndian(head) is var length && length is > 1 and < 1L << 40;

    private static string? Stranger(ReadOnlySpan<byte> head)
    {
        foreach (var (start, name) in Strangers)
        {
            if (head.StartsWith(start))
            {
                return name;
            }
        }

        return null;
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
