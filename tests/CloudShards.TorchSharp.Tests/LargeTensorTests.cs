using static TorchSharp.torch;

namespace CloudShards.Tests;

/// <summary>A tensor that no span of bytes can show.</summary>
[Collection(nameof(MemoryTests))]
public sealed class LargeTensorTests
{
    private const long Bytes = (1L << 31) + 12_345_677;
    private const int AllowedBytes = 8 << 20;

    [Fact]
    public async Task ATensorAboveTwoGibibytesIsReadInPlaceByBothWays()
    {
        var store = new PatternStore(Bytes);
        await using var checkpoint = await store.OpenAsync(new() { Verification = ShardVerification.Digest });
        var before = GC.GetTotalAllocatedBytes(precise: true);

        using (var module = new Holder(("a", empty(Bytes, dtype: ScalarType.Int8))))
        {
            await module.LoadShardsAsync(checkpoint, cancellationToken: TestContext.Current.CancellationToken);
            AssertIsThere(module.state_dict()["a"]);
        }

        using (var tensor = checkpoint.AsStateDict()["a"])
        {
            AssertIsThere(tensor);
        }

        Assert.InRange(GC.GetTotalAllocatedBytes(precise: true) - before, 0, 2 * (AllowedBytes + (2 * PatternStore.ChunkBytes)));
    }

    // The digest was compared, so it is enough that the tensor begins, goes on beyond what an int counts, and ends as it must.
    private static void AssertIsThere(Tensor tensor)
    {
        foreach (var (offset, length) in new[]
        {
            (0, PatternStore.ChunkBytes), (1L << 31, PatternStore.ChunkBytes), (Bytes - (Bytes % PatternStore.ChunkBytes), (int)(Bytes % PatternStore.ChunkBytes)),
        })
        {
            Assert.True(PatternStore.IsThere(offset, TensorMemory.Slice(tensor, offset, length).Span));
        }
    }
}
