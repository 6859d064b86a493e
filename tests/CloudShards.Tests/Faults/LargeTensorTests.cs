using CloudShards.Formats;

namespace CloudShards.Tests;

/// <summary>A tensor that no piece of memory can hold.</summary>
[Collection(nameof(AllocationTests))]
public sealed class LargeTensorTests
{
    private const long Bytes = (1L << 31) + 12_345_677;
    private const int MaxAllocated = 8 << 20;

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task ATensorAboveTwoGibibytesIsReadInWindows()
    {
        var store = new PatternStore(Bytes);
        await using var checkpoint = await store.OpenAsync(new() { Verification = ShardVerification.Digest });
        var tensor = checkpoint["a"];
        Assert.Equal(int.MaxValue - PatternStore.ChunkBytes + 1, checkpoint.WindowBytes);
        using var first = new NativeBytes(checkpoint.WindowBytes);
        using var second = new NativeBytes((int)(Bytes - checkpoint.WindowBytes));

        // The digest is that of the whole, so both windows are one pass.
        var before = GC.GetTotalAllocatedBytes(precise: true);
        await checkpoint.ReadAllAsync(
            [new(tensor, 0, first.Memory), new(tensor, checkpoint.WindowBytes, second.Memory)], cancellationToken: Token);
        var allocated = GC.GetTotalAllocatedBytes(precise: true) - before;

        Assert.InRange(allocated, 0, MaxAllocated);
        Assert.True(PatternStore.IsThere(0, first.Memory.Span));
        Assert.True(PatternStore.IsThere(checkpoint.WindowBytes, second.Memory.Span));
    }

    [Fact]
    public void WhoAsksForItInOnePieceIsToldAboutWindows()
    {
        var tensor = new ShardedTensor("a", TensorDType.I8, [Bytes], Bytes, default, []);

        var refused = Assert.Throws<ArgumentException>(() => ShardRead.Whole(tensor, new byte[1_000]));

        Assert.StartsWith(
            "`a` has 2,159,829,325 bytes, more than one piece of memory can have. Read it by `ShardedCheckpoint.ReadAllAsync`, in runs of "
            + "`ShardedCheckpoint.WindowBytes` bytes that follow each other.",
            refused.Message,
            StringComparison.Ordinal);
    }
}
