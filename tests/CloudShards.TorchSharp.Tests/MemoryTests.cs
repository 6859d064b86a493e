using static TorchSharp.torch;

namespace CloudShards.Tests;

/// <summary>Counts of the whole process, so nothing may run beside them.</summary>
[CollectionDefinition(nameof(MemoryTests), DisableParallelization = true)]
[Collection(nameof(MemoryTests))]
public sealed class MemoryTests : IDisposable
{
    private const int ModuleBytes = 96 << 20;
    private const int AllowedBytes = 8 << 20;

    private readonly Folder _folder = new();

    [Fact]
    public async Task LoadingAllocatesNoManagedMemoryInProportion()
    {
        using var module = new Holder(("first", zeros(ModuleBytes / 8)), ("second", ones(ModuleBytes / 8)));
        await using var checkpoint = await _folder.SaveAsync(module);

        var before = GC.GetTotalAllocatedBytes(precise: true);
        await module.LoadShardsAsync(checkpoint, cancellationToken: TestContext.Current.CancellationToken);

        Assert.InRange(GC.GetTotalAllocatedBytes(precise: true) - before, 0, AllowedBytes);
    }

    [Fact]
    public async Task SavingAllocatesNoManagedMemoryInProportion()
    {
        using var module = new Holder(("first", zeros(ModuleBytes / 8)), ("second", ones(ModuleBytes / 8)));

        var before = GC.GetTotalAllocatedBytes(precise: true);
        await using var checkpoint = await _folder.SaveAsync(module);

        Assert.InRange(GC.GetTotalAllocatedBytes(precise: true) - before, 0, AllowedBytes);
    }

    [Theory]
    [InlineData("contiguous")]
    [InlineData("transposed")]
    public async Task NoTensorIsLeftBehind(string layout)
    {
        Tensor Weight() => layout == "contiguous" ? zeros(40, 30) : zeros(30, 40).t();
        using var module = new Holder(("weight", Weight()), ("scalar", ones([])));
        var before = CountTensors();

        await using var checkpoint = await _folder.SaveAsync(module, options: new() { ChunkBytes = 64 });
        await module.LoadShardsAsync(checkpoint, cancellationToken: TestContext.Current.CancellationToken);
        checkpoint.AsStateDict()["weight"].Dispose();

        Assert.InRange(Tensor.TotalCount, 0, before);
    }

    [Fact]
    public async Task AFailedLoadLeavesNoTensorBehind()
    {
        using var module = new Holder(("weight", zeros(30, 40)), ("transposed", zeros(30, 40).t()));
        await using var checkpoint = await _folder.SaveAsync(module);
        var before = CountTensors();
        _folder.BeforeRead = () => throw new IOException("The disk is gone.");

        await Assert.ThrowsAsync<IOException>(
            () => module.LoadShardsAsync(checkpoint, cancellationToken: TestContext.Current.CancellationToken));
        Assert.Throws<IOException>(() => checkpoint.AsStateDict()["weight"]);

        Assert.InRange(Tensor.TotalCount, 0, before);
    }

    public void Dispose() => _folder.Dispose();

    // What other tests left to the finaliser goes first.
    private static long CountTensors()
    {
        GC.Collect();
        GC.WaitForPendingFinalizers();
        return Tensor.TotalCount;
    }
}
