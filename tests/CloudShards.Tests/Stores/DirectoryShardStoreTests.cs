namespace CloudShards.Tests;

public sealed class DirectoryShardStoreTests : StoreContractTests, IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData("")]
    [InlineData("/etc/passwd")]
    [InlineData("a//b")]
    [InlineData("a/")]
    [InlineData(".")]
    [InlineData("..")]
    [InlineData("a/../../b")]
    [InlineData("a\\b")]
    [InlineData("..\\b")]
    [InlineData("a/\0")]
    [InlineData(".lock")]
    public async Task ANameThatIsNoPathBelowTheFolderIsRefused(string name)
    {
        var store = Open();
        var content = new byte[1];

        await Assert.ThrowsAsync<ArgumentException>(async () => await store.TryCreateAsync(name, content, Token));
        await Assert.ThrowsAsync<ArgumentException>(async () => await store.ReadAsync(name, 0, content, Token));
    }

    [Fact]
    public async Task ANameIsAPathAndNothingElseIsLeft()
    {
        var store = Open();

        await store.TryCreateAsync("a/b/c", Bytes(3), Token);
        await store.TryCreateAsync("a/b/c", Bytes(4), Token);
        await store.TryReplaceAsync("a/b/c", Bytes(5), "stale", Token);

        Assert.Equal(
            [".lock", Path.Combine("a", "b", "c")],
            Directory.EnumerateFiles(_folder.Path, "*", SearchOption.AllDirectories)
                .Select(file => Path.GetRelativePath(_folder.Path, file)).Order(StringComparer.Ordinal));
    }

    [Fact]
    public async Task WhatKilledWritersLeftIsDeletedWhenItIsADayOld()
    {
        var folder = Directory.CreateDirectory(Path.Combine(_folder.Path, "a")).FullName;
        var (old, recent, other) = (Path.Combine(folder, ".0.tmp"), Path.Combine(folder, ".1.tmp"), Path.Combine(folder, "0.tmp"));
        foreach (var file in (string[])[old, recent, other])
        {
            File.WriteAllBytes(file, [1]);
        }

        File.SetLastWriteTimeUtc(old, DateTime.UtcNow.AddHours(-25));
        File.SetLastWriteTimeUtc(other, DateTime.UtcNow.AddHours(-25));

        await Open().TryCreateAsync("a/b", Bytes(1), Token);

        Assert.Equal((false, true, true), (File.Exists(old), File.Exists(recent), File.Exists(other)));
    }

    [Fact]
    public async Task AMissingFolderIsAnEmptyStore()
    {
        var store = new DirectoryShardStore(Path.Combine(_folder.Path, "missing"));

        Assert.Null(await store.TryFindAsync("tags/a", Token));
        Assert.Null(await store.TryReadDocumentAsync("tags/a", 1, Token));
        await Assert.ThrowsAsync<ShardNotFoundException>(async () => await store.ReadAsync("tags/a", 0, new byte[1], Token));
        Assert.True(await store.TryCreateAsync("tags/a", Bytes(1), Token));
        Assert.NotNull(await store.TryReadDocumentAsync("tags/a", 1, Token));
    }

    [Fact]
    public async Task AWriterWaitsForTheLockOfAnotherProcess()
    {
        var store = Open();
        await store.TryCreateAsync("a", Bytes(1), Token);
        Task<bool> writing;
        using (File.OpenHandle(Path.Combine(_folder.Path, ".lock"), FileMode.Open, FileAccess.ReadWrite, FileShare.None))
        {
            writing = store.TryCreateAsync("b", Bytes(1), Token).AsTask();
            using var impatient = CancellationTokenSource.CreateLinkedTokenSource(Token);
            var cancelled = store.TryCreateAsync("c", Bytes(1), impatient.Token).AsTask();
            await impatient.CancelAsync();
            await Assert.ThrowsAnyAsync<OperationCanceledException>(() => cancelled);
            Assert.Null(await store.TryFindAsync("b", Token));
        }

        Assert.True(await writing);
    }

    private protected override IShardStore Open() => new DirectoryShardStore(_folder.Path);
}
