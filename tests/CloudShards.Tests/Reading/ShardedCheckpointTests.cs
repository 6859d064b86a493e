using CloudShards.Formats;

namespace CloudShards.Tests;

public sealed class ShardedCheckpointTests : IAsyncLifetime
{
    private readonly StoredCheckpoint _stored = new();

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public ValueTask InitializeAsync() => _stored.InitializeAsync();

    public ValueTask DisposeAsync() => _stored.DisposeAsync();

    [Fact]
    public async Task OpeningByTagCostsTwoRequestsAndPinsTheManifest()
    {
        await using var checkpoint = await _stored.OpenAsync();

        Assert.Equal(_stored.Reference, checkpoint.Reference);
        Assert.Equal(
            ["document checkpoints/team/model/tags/prod.json", $"document {StoreLayout.Manifest("team/model", _stored.Reference.Digest!.Value)}"],
            _stored.Store.Requests);
        Assert.Equal(["embed.weight", "norm.weight", "empty", "scale", "head.weight"], checkpoint.Tensors.Select(tensor => tensor.Name));
    }

    [Fact]
    public async Task OpeningByDigestCostsOneRequest()
    {
        await using var checkpoint = await ShardedCheckpoint.OpenFromAsync(_stored.Store, _stored.Reference.ToString(), cancellationToken: Token);

        Assert.Single(_stored.Store.Requests);
        Assert.Equal(_stored.Reference, checkpoint.Reference);
    }

    [Theory]
    [InlineData("team/model:missing", "no tag `missing`")]
    [InlineData("team/model", "no tag `latest`")]
    [InlineData("team/other:prod", "`team/other` does not exist")]
    [InlineData("team/model@sha256:0000000000000000000000000000000000000000000000000000000000000000", "no manifest sha256:0000")]
    public async Task WhatDoesNotExistIsNamed(string reference, string message)
    {
        var missing = await Assert.ThrowsAsync<CheckpointNotFoundException>(
            () => ShardedCheckpoint.OpenFromAsync(_stored.Store, reference, cancellationToken: Token));

        Assert.Contains(message, missing.Message, StringComparison.Ordinal);
        Assert.Equal(CheckpointReference.Parse(reference), missing.Reference);
    }

    [Fact]
    public async Task ATagWhoseManifestIsGoneIsNamed()
    {
        File.Delete(_stored.FileOf(StoreLayout.Manifest("team/model", _stored.Reference.Digest!.Value)));

        var missing = await Assert.ThrowsAsync<CheckpointNotFoundException>(() => _stored.OpenAsync());

        Assert.Contains("which `team/model:prod` should name", missing.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task AManifestThatIsNotWhatItsDigestSaysIsRefused()
    {
        var blob = StoreLayout.Manifest("team/model", _stored.Reference.Digest!.Value);
        var text = await File.ReadAllTextAsync(_stored.FileOf(blob), Token);
        await File.WriteAllTextAsync(_stored.FileOf(blob), text.Replace("norm", "form", StringComparison.Ordinal), Token);

        var corrupt = await Assert.ThrowsAsync<ShardCorruptException>(() => _stored.OpenAsync());

        Assert.Equal(blob, corrupt.Blob);
    }

    [Fact]
    public async Task AManifestAboveItsLimitIsRefused() =>
        await Assert.ThrowsAsync<InvalidDataException>(() => _stored.OpenAsync(new() { Limits = new() { MaxManifestBytes = 100 } }));

    [Theory]
    [InlineData("embed.weight", 8_000, 3)]
    [InlineData("embed.weight", 20_000, 1)]
    [InlineData("embed.weight", 1, 20)]
    [InlineData("norm.weight", 8_000, 1)]
    [InlineData("scale", 8_000, 1)]
    [InlineData("empty", 8_000, 0)]
    public async Task ATensorIsReadInAsFewRequestsAsItsSizeAllows(string name, int maxRequestBytes, int requests)
    {
        await using var checkpoint = await _stored.OpenAsync(new() { MaxRequestBytes = maxRequestBytes });
        var (read, blocking) = (new byte[_stored.Contents[name].Length], new byte[_stored.Contents[name].Length]);

        await checkpoint.ReadAsync(name, read, Token);
        Assert.Equal(requests, _stored.Store.Count("read"));
        checkpoint.Read(checkpoint[name], 0, blocking, Token);
        Assert.Equal(2 * requests, _stored.Store.Count("read"));

        Assert.Equal(_stored.Contents[name], read);
        Assert.Equal(_stored.Contents[name], blocking);
    }

    [Fact]
    public async Task ASliceIsOneRangedRead()
    {
        await using var checkpoint = await _stored.OpenAsync();
        var read = new byte[40];

        await checkpoint.ReadSliceAsync("embed.weight", [100..102, Range.All], read, Token);

        Assert.Equal(_stored.Contents["embed.weight"][2_000..2_040], read);
        Assert.Equal($"read {StoreLayout.Shard(checkpoint["embed.weight"].Digest)} 2000+40", _stored.Store.Requests.Last());
        Assert.Equal(1, _stored.Store.Count("read"));
    }

    [Fact]
    public async Task AnEmptySliceAsksNothing()
    {
        await using var checkpoint = await _stored.OpenAsync();

        await checkpoint.ReadSliceAsync("embed.weight", [5..5], Memory<byte>.Empty, Token);

        Assert.Equal(0, _stored.Store.Count("read"));
    }

    [Fact]
    public async Task ADestinationOfAnotherLengthIsRefused()
    {
        await using var checkpoint = await _stored.OpenAsync();

        await Assert.ThrowsAsync<ArgumentException>(() => checkpoint.ReadAsync("norm.weight", new byte[13], Token));
        await Assert.ThrowsAsync<ArgumentException>(() => checkpoint.ReadAsync("norm.weight", new byte[15], Token));
        await Assert.ThrowsAsync<ArgumentException>(() => checkpoint.ReadSliceAsync("embed.weight", [0..2], new byte[41], Token));
        Assert.Equal(0, _stored.Store.Count("read"));
    }

    [Fact]
    public async Task AnUnknownNameSuggestsSimilarOnes()
    {
        await using var checkpoint = await _stored.OpenAsync();

        var unknown = Assert.Throws<KeyNotFoundException>(() => checkpoint["model.norm.weight"]);

        Assert.Contains("Did you mean `norm.weight`?", unknown.Message, StringComparison.Ordinal);
        Assert.False(checkpoint.TryGetTensor("model.norm.weight", out _));
        Assert.True(checkpoint.TryGetTensor("norm.weight", out _));
    }

    [Fact]
    public async Task RunsBeyondTheirTensorOrOfAnotherCheckpointAreRefused()
    {
        await using var checkpoint = await _stored.OpenAsync();
        await using var other = await _stored.OpenAsync();
        var tensor = checkpoint["norm.weight"];
        ShardRead[] refused =
        [
            new(tensor, 1, new byte[14]), new(tensor, -1, new byte[1]), new(tensor, 15, Memory<byte>.Empty),
            new(tensor, long.MaxValue, new byte[14]), new(other["norm.weight"], 0, new byte[14]),
        ];

        foreach (var read in refused)
        {
            await Assert.ThrowsAsync<ArgumentException>(() => checkpoint.ReadAllAsync([read], cancellationToken: Token));
            Assert.Throws<ArgumentException>(() => checkpoint.Read(read.Tensor, read.Offset, read.Destination.Span, Token));
        }

        Assert.Equal(0, _stored.Store.Count("read"));
    }

    [Fact]
    public async Task AMissingShardIsNamed()
    {
        await using var checkpoint = await _stored.OpenAsync();
        var blob = StoreLayout.Shard(checkpoint["norm.weight"].Digest);
        File.Delete(_stored.FileOf(blob));

        var missing = await Assert.ThrowsAsync<ShardNotFoundException>(() => checkpoint.ReadAsync("norm.weight", new byte[14], Token));

        Assert.Equal(blob, missing.Blob);
    }

    [Fact]
    public async Task ACancelledTokenEndsEveryCall()
    {
        await using var checkpoint = await _stored.OpenAsync();
        var stop = new CancellationToken(canceled: true);
        var tensor = checkpoint["norm.weight"];
        var destination = new byte[14];
        Func<Task>[] calls =
        [
            () => ShardedCheckpoint.OpenFromAsync(_stored.Store, "team/model:prod", cancellationToken: stop),
            () => checkpoint.ReadAsync("norm.weight", destination, stop),
            () => checkpoint.ReadSliceAsync("norm.weight", [Range.All], destination, stop),
            () => checkpoint.ReadAllAsync([ShardRead.Whole(tensor, destination)], cancellationToken: stop),
            () => Task.Run(() => checkpoint.Read(tensor, 0, destination, stop), CancellationToken.None),
        ];

        foreach (var call in calls)
        {
            await Assert.ThrowsAnyAsync<OperationCanceledException>(call);
        }
    }

    [Fact]
    public async Task NothingIsReadAfterDisposal()
    {
        var checkpoint = await _stored.OpenAsync();
        var tensor = checkpoint["norm.weight"];
        await checkpoint.DisposeAsync();
        await checkpoint.DisposeAsync();

        await Assert.ThrowsAsync<ObjectDisposedException>(() => checkpoint.ReadAsync("norm.weight", new byte[14], Token));
        await Assert.ThrowsAsync<ObjectDisposedException>(() => checkpoint.ReadSliceAsync("norm.weight", [Range.All], new byte[14], Token));
        await Assert.ThrowsAsync<ObjectDisposedException>(() => checkpoint.ReadAllAsync([], cancellationToken: Token));
        Assert.Throws<ObjectDisposedException>(() => checkpoint.Read(tensor, 0, new byte[14], Token));
    }

    [Fact]
    public async Task DisposalEndsRunningReadsAndWaitsForThem()
    {
        var checkpoint = await _stored.OpenAsync();
        var started = new TaskCompletionSource();
        var release = new TaskCompletionSource();
        _stored.Store.Reading = async stop =>
        {
            started.TrySetResult();
            await Task.Delay(Timeout.Infinite, stop).ContinueWith(_ => release.Task, TaskScheduler.Default).Unwrap();
            stop.ThrowIfCancellationRequested();
        };

        var reading = checkpoint.ReadAsync("norm.weight", new byte[14], Token);
        await started.Task;
        var disposing = checkpoint.DisposeAsync().AsTask();
        Assert.False(disposing.IsCompleted);
        release.SetResult();

        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => reading);
        await disposing;
    }
}
