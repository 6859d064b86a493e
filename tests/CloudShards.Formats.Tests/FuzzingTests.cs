using CloudShards.Formats.Tests.Files;
using CloudShards.Fuzzing;
using CloudShards.Testing;

namespace CloudShards.Formats.Tests;

/// <summary>A short run of the fuzzer, and what long runs have found. CONTRIBUTING.md has the command for a long one.</summary>
public sealed class FuzzingTests
{
    [Fact]
    public void MadeUpFilesAreDescribedOrRefusedAndNothingElse()
    {
        var fuzzer = new Fuzzer(seed: 11);

        Assert.All(Enumerable.Range(0, 60_000), number => Assert.Null(fuzzer.Run(number).Problem));
    }

    // Six lists that each hold the one before ten times: 800 bytes, and a million values.
    [Fact]
    public void ListsThatShareEachOtherListNoMoreThanTheirPickleIsLong()
    {
        var pickle = new List<byte> { 0x80, 2, (byte)']', (byte)'q', 0, (byte)'0' };
        for (byte level = 0; level < 6; level++)
        {
            pickle.AddRange([(byte)']', (byte)'(']);
            for (var i = 0; i < 10; i++)
            {
                pickle.AddRange([(byte)'h', level]);
            }

            pickle.AddRange([(byte)'e', (byte)'q', (byte)(level + 1), (byte)'0']);
        }

        pickle.AddRange([(byte)'h', 6, (byte)'.']);
        var file = new ZipBytes([new("archive/data.pkl", [.. pickle])]).ToArray();

        var (allocated, refusal) = CheckpointBytes.Measure(file);

        Assert.Equal(CheckpointError.LimitExceeded, refusal?.Error);
        Assert.InRange(allocated, 0, 1 << 20);
    }

    // A text of a kilobyte, four thousand times over: four megabytes of values.
    [Fact]
    public void ALongTextIsNotRepeatedForEveryByteThatNamesIt()
    {
        byte[] pickle =
        [
            0x80, 2, (byte)'X', 0, 4, 0, 0, .. new byte[1024], (byte)'q', 0, (byte)'0', (byte)']', (byte)'(',
            .. Enumerable.Repeat<byte[]>([(byte)'h', 0], 4_000).SelectMany(get => get), (byte)'e', (byte)'.',
        ];

        var (allocated, refusal) = CheckpointBytes.Measure(new ZipBytes([new("archive/data.pkl", pickle)]).ToArray());

        Assert.Equal(CheckpointError.LimitExceeded, refusal?.Error);
        Assert.InRange(allocated, 0, 8 << 20);
    }

    [Fact]
    public void ATarWithAnEmptyMemberIsRefused()
    {
        var tar = CorpusFile.Get("ancient_tar.pt").ReadAllBytes();
        var member = tar.AsSpan().IndexOf("tensors"u8);
        tar.AsSpan(member + 124, 11).Fill((byte)'0');

        Assert.Equal(CheckpointError.Malformed, CheckpointBytes.Refuse(tar).Error);
    }
}
