using Azure.Storage.Blobs;
using CloudShards.Testing;

namespace CloudShards.Tests;

public sealed class BlobShardStoreTests(AzuriteFixture azurite) : StoreContractTests, IAsyncLifetime
{
    private readonly RequestRecorder _recorder = new();
    private BlobContainerClient _container = null!;

    public async ValueTask InitializeAsync() => _container = await azurite.NewContainerAsync(_recorder);

    public ValueTask DisposeAsync() => ValueTask.CompletedTask;

    [Fact]
    public async Task CreatingIsOneConditionalWrite()
    {
        await Open().TryCreateAsync("tensors/a", Bytes(5 << 20), Token);

        var request = Assert.Single(_recorder.Requests);
        Assert.Equal(("PUT", "tensors/a", "*", 5L << 20), (request.Method, request.Blob, request.IfNoneMatch, request.BodyBytes));
    }

    [Fact]
    public async Task BlocksAreCommittedOnConditionAndTheLengthIsCompared()
    {
        await Open().TryCreateAsync("tensors/a", Blocks(Bytes(10), Bytes(20)), Token);

        Assert.Equal(
            [("PUT", "block", null), ("PUT", "block", null), ("PUT", "blocklist", "*"), ("HEAD", null, null)],
            _recorder.Requests.Select(request => (request.Method, request.Component, request.IfNoneMatch)));
    }

    [Fact]
    public async Task AReadIsOneRequestOfItsRange()
    {
        var store = Open();
        await store.TryCreateAsync("tensors/a", Bytes(300_000), Token);
        _recorder.Clear();

        await store.ReadAsync("tensors/a", 100_000, new byte[200_000], Token);

        var request = Assert.Single(_recorder.Requests);
        Assert.Equal(("GET", "bytes=100000-299999", 206), (request.Method, request.Range, request.Status));
    }

    [Fact]
    public async Task TwoWritersMayStageBlocksOfOneBlob()
    {
        var (first, second) = (Open(), Open());
        var staged = new TaskCompletionSource();
        var overtaken = new TaskCompletionSource();
        async IAsyncEnumerable<ReadOnlyMemory<byte>> Slow()
        {
            yield return Bytes(100);
            staged.SetResult();
            await overtaken.Task;
            yield return Bytes(100);
        }

        async IAsyncEnumerable<ReadOnlyMemory<byte>> Overtaking()
        {
            yield return Bytes(70);
            overtaken.SetResult();
            await Task.Yield();
            yield return Bytes(70);
        }

        var slow = first.TryCreateAsync("tensors/a", Slow(), Token).AsTask();
        await staged.Task;
        var won = await Task.WhenAll(slow, second.TryCreateAsync("tensors/a", Overtaking(), Token).AsTask());

        var half = won[0] ? Bytes(100) : Bytes(70);
        var read = new byte[2 * half.Length];
        Assert.Single(won, true);
        await first.ReadAsync("tensors/a", 0, read, Token);
        Assert.Equal(half.Concat(half), read);
    }

    private protected override IShardStore Open() => new BlobShardStore(_container);
}
