using System.Text;
using CloudShards.Formats.Tests.Files;

namespace CloudShards.Formats.Tests;

public sealed class FileSignatureTests
{
    // The first bytes of a file, how it is refused, and what its message must name.
    public static TheoryData<string, CheckpointError, string> Strangers => new()
    {
        { "", CheckpointError.NotACheckpoint, "empty" },
        { "{", CheckpointError.NotACheckpoint, "JSON" },
        { "{\"a\": {\"b\": 1}}", CheckpointError.NotACheckpoint, "JSON" },
        { "{\"metad{ta\": {}}", CheckpointError.NotACheckpoint, "JSON" },
        { "version https://git-lfs.github.com/spec/v1\noid sha256:00\n", CheckpointError.NotACheckpoint, "Git LFS" },
        { "<!DOCTYPE html><html>", CheckpointError.NotACheckpoint, "HTML" },
        { "<?xml version=\"1.0\"?><Error>", CheckpointError.NotACheckpoint, "XML" },
        { "GGUF\u0003\0\0\0", CheckpointError.NotACheckpoint, "GGUF" },
        { "\u0089HDF\r\n\u001a\n", CheckpointError.NotACheckpoint, "HDF5" },
        { "\u0093NUMPY\u0001\0", CheckpointError.NotACheckpoint, "NumPy" },
        { "\u001f\u008b\u0008\0", CheckpointError.NotACheckpoint, "gzip" },
        { "BZh91AY", CheckpointError.NotACheckpoint, "bzip2" },
        { "\u00fd7zXZ\0", CheckpointError.NotACheckpoint, "xz" },
        { "7z\u00bc\u00af\u0027\u001c", CheckpointError.NotACheckpoint, "7z" },
        { "(\u00b5/\u00fd\u0004", CheckpointError.NotACheckpoint, "zstd" },
        { "\u0008\u0008\u0012\u0007pytorch", CheckpointError.NotACheckpoint, "ONNX" },
        { "\u0080\u0004\u0095\u0010\0\0\0\0\0\0\0", CheckpointError.NotACheckpoint, "bare pickle" },
        { "\u0080\u0002}q\0.", CheckpointError.NotACheckpoint, "bare pickle" },
        { "hello, world", CheckpointError.NotACheckpoint, "text" },
        { "\u0007\u0006\u0005\u0004\u0003\u0002\u0001\0\u00ff", CheckpointError.NotACheckpoint, "no known format" },
        { "PK\u0005\u0006" + "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", CheckpointError.NotACheckpoint, "empty zip" },
        { "Rar!\u001a\u0007\u0001\0", CheckpointError.NotACheckpoint, "RAR" },
        { "\u00ff\u00feh\0i\0", CheckpointError.NotACheckpoint, "UTF-16" },
        { "\u00fe\u00ff\0h\0i", CheckpointError.NotACheckpoint, "UTF-16" },
    };

    [Theory]
    [MemberData(nameof(Strangers))]
    public void AStrangerIsRefusedByName(string latin1, CheckpointError error, string named)
    {
        var refusal = CheckpointBytes.Refuse(Encoding.Latin1.GetBytes(latin1));

        Assert.Equal(error, refusal.Error);
        Assert.Contains(named, refusal.Message, StringComparison.Ordinal);
        Assert.Equal(0, refusal.Offset);
    }

    [Fact]
    public void LongTextInAnyScriptIsRecognisedAsText()
    {
        foreach (var text in (string[])["a", "é", "日", "🙂"])
        {
            var refusal = CheckpointBytes.Refuse(Encoding.UTF8.GetBytes(string.Concat(Enumerable.Repeat(text, 300))));

            Assert.Contains("text", refusal.Message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void ATarIsNamed()
    {
        var tar = new byte[10240];
        "storages"u8.CopyTo(tar);
        "ustar\0"u8.CopyTo(tar.AsSpan(257));

        Assert.Contains("tar archive", CheckpointBytes.Refuse(tar).Message, StringComparison.Ordinal);
    }

    // The low byte of the header's length may be any byte, also one with which other formats begin.
    [Theory]
    [InlineData(0x7b)]
    [InlineData(0x3c)]
    [InlineData(0x80)]
    [InlineData(0x17b)]
    public void ASafetensorsHeaderMayHaveAnyLength(int length)
    {
        var file = SafetensorsBytes.File("{}".PadRight(length));

        Assert.Empty(CheckpointBytes.Describe(file).Tensors);
    }
}
