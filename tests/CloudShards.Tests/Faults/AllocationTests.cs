using System.IO.Hashing;
using CloudShards.Formats;

namespace CloudShards.Tests;

/// <summary>What the whole process allocates is counted, so nothing else may run.</summary>
[CollectionDefinition(nameof(AllocationTests), DisableParallelization = true)]
[Collection(nameof(AllocationTests))]
public sealed class AllocationTests
{
    private const int Length = 512 << 20;
    private const int MaxAllocated = 8 << 20;

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData(ShardVerification.Chunks)]
    [InlineData(ShardVerification.Digest)]
    public async Task NothingIsAllocatedThatGrowsWithTheTensor(ShardVerification verification)
    {
        var pattern = new byte[8 << 20];
        new Random(1).NextBytes(pattern);
        using var native = new NativeBytes(Length);
        for (var offset = 0; offset < Length; offset += pattern.Length)
        {
            pattern.CopyTo(native.Memory.Span[offset..]);
        }

        var chunks = Enumerable.Repeat(XxHash3.HashToUInt64(pattern), Length / pattern.Length);
        var tensor = new ShardedTensor("a", TensorDType.U8, [Length], Length, Digest.Of(native.Memory.Span), [.. chunks]);
        var manifest = new ShardManifest { Name = "net", ChunkBytes = pattern.Length, Tensors = [tensor] }.ToUtf8();
        native.Memory.Span.Clear();
        await using var server = new FaultyServer(
            name => name.StartsWith("tensors/", StringComparison.Ordinal) ? new(pattern, Length) : new(manifest, manifest.Length), () => Fault.None);
        await using var checkpoint = await ShardedCheckpoint.OpenAsync(
            server.Container(0, TimeSpan.FromSeconds(100)),
            CheckpointReference.ForDigest("net", Digest.Of(manifest)).ToString(),
            new() { Verification = verification },
            Token);
        await checkpoint.ReadAllAsync([new(checkpoint["a"], 0, native.Memory[..(64 << 20)])], cancellationToken: Token);

        var before = GC.GetTotalAllocatedBytes(precise: true);
        await checkpoint.ReadAsync("a", native.Memory, Token);
        var allocated = GC.GetTotalAllocatedBytes(precise: true) - before;

        // The server's are among them.
        Assert.InRange(allocated, 0, MaxAllocated);
        Assert.True(native.Memory.Span[^pattern.Length..].SequenceEqual(pattern));
        TestContext.Current.SendDiagnosticMessage($"{allocated:N0} bytes allocated for {Length:N0}");
    }
}
