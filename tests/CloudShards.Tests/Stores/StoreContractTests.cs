namespace CloudShards.Tests;

/// <summary>What every store must do, wherever its shards are.</summary>
public abstract class StoreContractTests
{
    private protected static CancellationToken Token => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(300_000)]
    public async Task WhatIsCreatedReadsBack(int length)
    {
        var store = Open();
        var content = Bytes(length);

        Assert.True(await store.TryCreateAsync("tensors/a", content, Token));

        Assert.Equal(length, (await store.TryFindAsync("tensors/a", Token))?.Bytes);
        var read = new byte[length];
        await store.ReadAsync("tensors/a", 0, read, Token);
        Assert.Equal(content, read);
    }

    [Theory]
    [InlineData(0, 300_000)]
    [InlineData(0, 1)]
    [InlineData(299_999, 1)]
    [InlineData(1, 299_999)]
    [InlineData(131_071, 131_074)]
    public async Task ARangeReadsItsOwnBytes(int offset, int length)
    {
        var store = Open();
        var content = Bytes(300_000);
        await store.TryCreateAsync("tensors/a", content, Token);

        var managed = new byte[length];
        await store.ReadAsync("tensors/a", offset, managed, Token);
        using var native = new NativeBytes(length);
        await store.ReadAsync("tensors/a", offset, native.Memory, Token);
        var blocking = new byte[length];
        store.Read("tensors/a", offset, blocking, Token);

        var expected = content[offset..(offset + length)];
        Assert.Equal(expected, managed);
        Assert.Equal(expected, native.Memory.ToArray());
        Assert.Equal(expected, blocking);
    }

    [Theory]
    [InlineData(50, 51)]
    [InlineData(100, 1)]
    [InlineData(101, 1)]
    public async Task ARangePastTheEndIsRefused(int offset, int length)
    {
        var store = Open();
        await store.TryCreateAsync("tensors/a", Bytes(100), Token);
        var destination = new byte[length];

        var refused = await Assert.ThrowsAsync<InvalidDataException>(async () => await store.ReadAsync("tensors/a", offset, destination, Token));
        Assert.Contains("tensors/a", refused.Message, StringComparison.Ordinal);
        Assert.Throws<InvalidDataException>(() => store.Read("tensors/a", offset, destination, Token));
    }

    [Fact]
    public async Task AMissingBlobIsNotFound()
    {
        var store = Open();
        await store.TryCreateAsync("tensors/other", Bytes(1), Token);
        var destination = new byte[1];

        var missing = await Assert.ThrowsAsync<ShardNotFoundException>(async () => await store.ReadAsync("tensors/a", 0, destination, Token));
        Assert.Equal("tensors/a", missing.Blob);
        Assert.Throws<ShardNotFoundException>(() => store.Read("tensors/a", 0, destination, Token));
        Assert.Null(await store.TryFindAsync("tensors/a", Token));
        Assert.Null(await store.TryReadDocumentAsync("tensors/a", 10, Token));
        Assert.Null(await store.TryReadDocumentAsync("elsewhere/a", 10, Token));
    }

    [Fact]
    public async Task WhatExistsIsNotCreatedAgain()
    {
        var store = Open();
        await store.TryCreateAsync("tensors/a", Bytes(10), Token);

        Assert.False(await store.TryCreateAsync("tensors/a", Bytes(20), Token));
        Assert.False(await store.TryCreateAsync("tensors/a", Blocks(Bytes(20)), Token));

        Assert.Equal(10, (await store.TryFindAsync("tensors/a", Token))?.Bytes);
    }

    [Theory]
    [InlineData]
    [InlineData(5)]
    [InlineData(70_000, 1, 70_000)]
    public async Task BlocksBecomeOneBlob(params int[] lengths)
    {
        var store = Open();
        var blocks = lengths.Select(Bytes).ToArray();

        Assert.True(await store.TryCreateAsync("tensors/a", Blocks(blocks), Token));

        var document = await store.TryReadDocumentAsync("tensors/a", 200_000, Token);
        Assert.Equal(blocks.SelectMany(block => block), document?.Content.ToArray());
    }

    [Fact]
    public async Task BlocksThatFailLeaveNothing()
    {
        var store = Open();
        static async IAsyncEnumerable<ReadOnlyMemory<byte>> Failing()
        {
            yield return Bytes(10);
            await Task.Yield();
            throw new TimeoutException();
        }

        await Assert.ThrowsAsync<TimeoutException>(async () => await store.TryCreateAsync("tensors/a", Failing(), Token));

        Assert.Null(await store.TryFindAsync("tensors/a", Token));
        Assert.True(await store.TryCreateAsync("tensors/a", Blocks(Bytes(7)), Token));
        Assert.Equal(7, (await store.TryFindAsync("tensors/a", Token))?.Bytes);
    }

    [Fact]
    public async Task OfManyCreatorsExactlyOneWins()
    {
        var store = Open();
        var other = Open();
        var contents = Enumerable.Range(1, 16).Select(Bytes).ToArray();

        var won = await Task.WhenAll(contents.Select((content, i) => Task.Run(async () => i % 2 == 0
            ? await store.TryCreateAsync("tensors/a", content, Token)
            : await other.TryCreateAsync("tensors/a", Blocks(content), Token))));

        Assert.Single(won, true);
        Assert.Equal(contents[Array.IndexOf(won, true)].Length, (await store.TryFindAsync("tensors/a", Token))?.Bytes);
    }

    [Fact]
    public async Task ReplacingNeedsTheVersionThatWasRead()
    {
        var store = Open();
        Assert.True(await store.TryReplaceAsync("tags/a", Bytes(1), null, Token));
        var first = await store.TryReadDocumentAsync("tags/a", 10, Token);

        Assert.False(await store.TryReplaceAsync("tags/a", Bytes(2), null, Token));
        Assert.True(await store.TryReplaceAsync("tags/a", Bytes(3), first?.Version, Token));
        Assert.False(await store.TryReplaceAsync("tags/a", Bytes(4), first?.Version, Token));
        Assert.False(await store.TryReplaceAsync("tags/missing", Bytes(5), first?.Version, Token));

        Assert.Equal(3, (await store.TryFindAsync("tags/a", Token))?.Bytes);
    }

    [Fact]
    public async Task OfManyReplacersExactlyOneWins()
    {
        var store = Open();
        var other = Open();
        await store.TryCreateAsync("tags/a", Bytes(100), Token);
        var read = await store.TryReadDocumentAsync("tags/a", 100, Token);

        var won = await Task.WhenAll(Enumerable.Range(1, 16).Select(length => Task.Run(async () =>
            await (length % 2 == 0 ? store : other).TryReplaceAsync("tags/a", Bytes(length), read?.Version, Token))));

        Assert.Single(won, true);
        Assert.Equal(Array.IndexOf(won, true) + 1, (await store.TryFindAsync("tags/a", Token))?.Bytes);
    }

    [Fact]
    public async Task ADocumentAboveItsLimitIsRefused()
    {
        var store = Open();
        await store.TryCreateAsync("tags/a", Bytes(100_000), Token);

        Assert.Equal(100_000, (await store.TryReadDocumentAsync("tags/a", 100_000, Token))?.Content.Length);
        await Assert.ThrowsAsync<InvalidDataException>(async () => await store.TryReadDocumentAsync("tags/a", 99_999, Token));
    }

    [Theory]
    [InlineData("checkpoints/net/manifests/sha256/a.json", true)]
    [InlineData("checkpoints/net/tags/latest.json", false)]
    [InlineData("jobs/a/status.json", false)]
    public async Task OnlyOfAManifestIsItSaidThatItsLimitCanBeRaised(string name, bool expected)
    {
        var store = Open();
        await store.TryCreateAsync(name, Bytes(10), Token);

        var refused = await Assert.ThrowsAsync<InvalidDataException>(async () => await store.TryReadDocumentAsync(name, 9, Token));

        Assert.Equal(expected, refused.Message.Contains("MaxManifestBytes", StringComparison.Ordinal));
    }

    [Fact]
    public async Task AListHasTheBlobsOfItsPrefixAlone()
    {
        var store = Open();
        foreach (var (name, length) in ((string, int)[])[("tensors/a/b", 1), ("tensors/ab", 2), ("tensors/c", 3), ("tags/a", 4)])
        {
            await store.TryCreateAsync(name, Bytes(length), Token);
        }

        Assert.Equal([("tensors/a/b", 1L), ("tensors/ab", 2)], await NamesAsync("tensors/a"));
        Assert.Equal([("tensors/a/b", 1L)], await NamesAsync("tensors/a/"));
        Assert.Equal(4, (await NamesAsync("")).Length);
        Assert.Empty(await NamesAsync("packs/"));

        async Task<(string, long)[]> NamesAsync(string prefix) =>
            [.. (await store.ListAsync(prefix, Token).ToArrayAsync(Token)).Select(blob => (blob.Name, blob.Bytes)).OrderBy(blob => blob.Name, StringComparer.Ordinal)];
    }

    [Fact]
    public async Task WhatWasChangedAfterATimeIsNotDeleted()
    {
        var store = Open();
        await store.TryCreateAsync("tensors/a", Bytes(1), Token);
        var modifiedAt = (await store.TryFindAsync("tensors/a", Token))!.ModifiedAt;

        Assert.False(await store.TryDeleteAsync("tensors/a", modifiedAt - TimeSpan.FromSeconds(1), Token));
        Assert.NotNull(await store.TryFindAsync("tensors/a", Token));
        Assert.True(await store.TryDeleteAsync("tensors/a", modifiedAt + TimeSpan.FromSeconds(1), Token));
        Assert.Null(await store.TryFindAsync("tensors/a", Token));
        Assert.False(await store.TryDeleteAsync("tensors/a", modifiedAt + TimeSpan.FromSeconds(1), Token));
    }

    [Fact]
    public async Task RenewingChangesTheTimeAndNothingElse()
    {
        var store = Open();
        var content = Bytes(10);
        Assert.False(await store.TryRenewAsync("tensors/a", Token));
        await store.TryCreateAsync("tensors/a", content, Token);
        var before = (await store.TryFindAsync("tensors/a", Token))!;

        Assert.True(await store.TryRenewAsync("tensors/a", Token));

        var after = (await store.TryFindAsync("tensors/a", Token))!;
        Assert.InRange(after.ModifiedAt, before.ModifiedAt, DateTimeOffset.UtcNow + TimeSpan.FromSeconds(2));
        Assert.Equal(before with { ModifiedAt = after.ModifiedAt }, after);
        var read = new byte[content.Length];
        await store.ReadAsync("tensors/a", 0, read, Token);
        Assert.Equal(content, read);
    }

    [Fact]
    public async Task ACancelledTokenEndsEveryCall()
    {
        var store = Open();
        await store.TryCreateAsync("tensors/a", Bytes(1), Token);
        var stop = new CancellationToken(canceled: true);
        var destination = new byte[1];
        Func<Task>[] calls =
        [
            async () => await store.ReadAsync("tensors/a", 0, destination, stop),
            () => Task.Run(() => store.Read("tensors/a", 0, destination, stop), CancellationToken.None),
            async () => await store.TryReadDocumentAsync("tensors/a", 1, stop),
            async () => await store.TryFindAsync("tensors/a", stop),
            async () => await store.TryCreateAsync("tensors/b", destination, stop),
            async () => await store.TryCreateAsync("tensors/b", Blocks(destination), stop),
            async () => await store.TryReplaceAsync("tensors/b", destination, null, stop),
            async () => await store.ListAsync("tensors/", stop).CountAsync(stop),
            async () => await store.TryRenewAsync("tensors/a", stop),
            async () => await store.TryDeleteAsync("tensors/a", DateTimeOffset.MaxValue, stop),
        ];

        foreach (var call in calls)
        {
            await Assert.ThrowsAnyAsync<OperationCanceledException>(call);
        }

        Assert.Null(await store.TryFindAsync("tensors/b", Token));
    }

    /// <summary>The test's own place, each time by another object.</summary>
    private protected abstract IShardStore Open();

    private protected static byte[] Bytes(int length)
    {
        var bytes = new byte[length];
        new Random(length).NextBytes(bytes);
        return bytes;
    }

    private protected static async IAsyncEnumerable<ReadOnlyMemory<byte>> Blocks(params byte[][] blocks)
    {
        // A block is used up before the next is asked for: one buffer serves all.
        var buffer = new byte[blocks.Select(block => block.Length).DefaultIfEmpty().Max()];
        foreach (var block in blocks)
        {
            block.CopyTo(buffer, 0);
            yield return buffer.AsMemory(0, block.Length);
            await Task.Yield();
        }
    }
}
