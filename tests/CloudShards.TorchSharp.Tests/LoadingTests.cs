using static TorchSharp.torch;

namespace CloudShards.Tests;

public sealed class LoadingTests : IDisposable
{
    private readonly Folder _folder = new();

    /// <summary>Chunks that end within elements, within rows, between rows, and beyond the tensor.</summary>
    public static TheoryData<int> ChunkBytes => [3, 4, 20, 24, 100, 1 << 20];

    /// <summary>Tensors whose memory is not what their shard holds.</summary>
    public static TheoryData<string> Layouts => ["transposed", "permuted", "every other", "conjugated", "negated", "negated alone"];

    [Theory]
    [MemberData(nameof(ChunkBytes))]
    public async Task ChunksOfAnySizeAreLoaded(int chunkBytes)
    {
        using var saved = new Holder(("contiguous", rand(4, 5, 6)), ("permuted", rand(6, 5, 4).permute(2, 1, 0)), ("scalar", rand([])));
        using var module = new Holder(("contiguous", zeros(4, 5, 6)), ("permuted", zeros(6, 5, 4).permute(2, 1, 0)), ("scalar", zeros([])));
        await using var checkpoint = await _folder.SaveAsync(saved, options: new() { ChunkBytes = chunkBytes });

        await LoadAsync(module, checkpoint);

        Assert.Equal(Models.BytesOf(saved), Models.BytesOf(module));
    }

    [Theory]
    [MemberData(nameof(Layouts))]
    public async Task TensorsThatAreNotRowMajorAreSavedAndLoadedAsIfTheyWere(string layout)
    {
        using var saved = new Holder(("weight", Make(layout)));
        using var plain = new Holder(("weight", saved.state_dict()["weight"].contiguous().resolve_conj().resolve_neg()));
        using var module = new Holder(("weight", Make(layout)));
        using var difference = module.state_dict()["weight"] - plain.state_dict()["weight"];
        Assert.False(allclose(difference, zeros_like(difference)));

        await using var expected = await _folder.SaveAsync(plain, options: new() { ChunkBytes = 100 });
        await using var checkpoint = await _folder.SaveAsync(saved, options: new() { ChunkBytes = 100 });
        await LoadAsync(module, checkpoint);

        Assert.Equal(expected["weight"].Digest, checkpoint["weight"].Digest);
        Assert.Equal(Models.BytesOf(plain)["weight"], module.state_dict()["weight"].contiguous().resolve_conj().resolve_neg().bytes);
    }

    [Fact]
    public async Task NonContiguousParametersKeepTheirLayoutAndGradients()
    {
        using var saved = new Parameters(rand(3, 4));
        using var module = new Parameters(rand(4, 3).t());
        await using var checkpoint = await _folder.SaveAsync(saved);

        await LoadAsync(module, checkpoint);

        Assert.Equal(Models.BytesOf(saved), Models.BytesOf(module));
        var weight = module.state_dict()["weight"];
        Assert.False(weight.is_contiguous());
        Assert.True(weight is { requires_grad: true, is_leaf: true });
    }

    [Fact]
    public async Task ProgressEndsWithEveryByteAndTensorOfTheModule()
    {
        using var saved = new Holder(("contiguous", rand(4, 5)), ("transposed", rand(5, 4).t()), ("other", rand(9)));
        using var module = new Holder(("contiguous", zeros(4, 5)), ("transposed", zeros(5, 4).t()));
        await using var checkpoint = await _folder.SaveAsync(saved, options: new() { ChunkBytes = 16 });
        var reports = new Reports();

        await module.LoadShardsAsync(
            checkpoint, new() { AllowUnexpected = true }, reports, TestContext.Current.CancellationToken);

        Assert.All(reports.All, report => Assert.Equal((160, 2), (report.BytesTotal, report.TensorsTotal)));
        Assert.Equal(reports.All.Select(report => report.BytesRead).Order(), reports.All.Select(report => report.BytesRead));
        Assert.Equal((160, 2), (reports.All[^1].BytesRead, reports.All[^1].TensorsRead));
    }

    [Fact]
    public async Task ADamagedShardIsNamed()
    {
        using var saved = Models.Make("nested");
        using var module = Models.Make("nested");
        await using var checkpoint = await _folder.SaveAsync(saved);
        var path = _folder.PathOf(checkpoint["out.weight"].Digest);
        File.SetAttributes(path, FileAttributes.Normal);
        var bytes = await File.ReadAllBytesAsync(path, TestContext.Current.CancellationToken);
        bytes[5] ^= 1;
        await File.WriteAllBytesAsync(path, bytes, TestContext.Current.CancellationToken);

        var exception = await Assert.ThrowsAsync<ShardCorruptException>(() => LoadAsync(module, checkpoint));

        Assert.Equal("out.weight", exception.Tensor);
    }

    [Fact]
    public async Task ACancelledTokenLeavesTheModuleAsItIs()
    {
        using var saved = Models.Make("nested");
        using var module = Models.Make("nested");
        var before = Models.BytesOf(module);
        await using var checkpoint = await _folder.SaveAsync(saved);

        await Assert.ThrowsAnyAsync<OperationCanceledException>(
            () => module.LoadShardsAsync(checkpoint, cancellationToken: new(canceled: true)));

        Assert.Equal(before, Models.BytesOf(module));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task CancellingEndsTheReads(bool transposed)
    {
        Tensor Weight() => transposed ? zeros(32, 32).t() : zeros(32, 32);
        using var saved = new Holder(("weight", Weight()));
        using var module = new Holder(("weight", Weight()));
        await using var checkpoint = await _folder.SaveAsync(saved, options: new() { ChunkBytes = 4 });
        await using var reader = await ShardedCheckpoint.OpenFromAsync(
            _folder, "model", new() { MaxConcurrency = 1, MaxRequestBytes = 4 }, TestContext.Current.CancellationToken);
        using var source = new CancellationTokenSource();
        _folder.BeforeRead = source.Cancel;

        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => module.LoadShardsAsync(reader, cancellationToken: source.Token));

        Assert.Single(_folder.TakeRead());
    }

    public void Dispose() => _folder.Dispose();

    private static Tensor Make(string layout) => layout switch
    {
        "transposed" => rand(4, 6, 5).transpose(1, 2),
        "permuted" => rand(6, 5, 4).permute(2, 1, 0),
        "every other" => rand(4, 10, 6)[.., TensorIndex.Slice(0, null, 2)],
        "conjugated" => rand(4, 5, 6, dtype: ScalarType.ComplexFloat32).conj(),
        "negated" => rand(4, 5, 6, dtype: ScalarType.ComplexFloat32).conj().imag,
        "negated alone" => rand(1, dtype: ScalarType.ComplexFloat32).conj().imag,
        _ => throw new ArgumentOutOfRangeException(nameof(layout), layout, "No such layout."),
    };

    private static Task<ModuleLoadResult> LoadAsync(nn.Module module, ShardedCheckpoint checkpoint) =>
        module.LoadShardsAsync(checkpoint, cancellationToken: TestContext.Current.CancellationToken);

    private sealed class Parameters : nn.Module
    {
        public Parameters(Tensor weight)
            : base(nameof(Parameters)) => register_parameter("weight", nn.Parameter(weight));
    }

    private sealed class Reports : IProgress<ShardProgress>
    {
        public List<ShardProgress> All { get; } = [];

        public void Report(ShardProgress value) => All.Add(value);
    }
}
