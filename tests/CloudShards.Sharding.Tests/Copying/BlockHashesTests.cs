using System.Diagnostics.CodeAnalysis;
using System.Security.Cryptography;

namespace CloudShards.Sharding.Tests.Copying;

public sealed class BlockHashesTests
{
    [Theory]
    [InlineData(0, 10, 3)]
    [InlineData(1, 10, 3)]
    [InlineData(10, 10, 3)]
    [InlineData(20, 10, 7)]
    [InlineData(25, 10, 25)]
    [InlineData(25, 10, 1)]
    [SuppressMessage("Security", "CA5351", Justification = "It is what the service takes.")]
    public void EachBlockHasItsHashWhateverPiecesItCameIn(int length, int blockBytes, int pieceBytes)
    {
        var bytes = new byte[length];
        new Random(length).NextBytes(bytes);
        using var hashes = new BlockHashes(blockBytes);

        foreach (var piece in bytes.Chunk(pieceBytes))
        {
            hashes.Append(piece);
        }

        Assert.Equal(bytes.Chunk(blockBytes).Select(block => MD5.HashData(block)), hashes.Finish());
    }
}
