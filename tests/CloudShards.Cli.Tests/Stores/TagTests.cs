using Azure.Storage.Sas;
using CloudShards.Formats;
using CloudShards.Testing;

namespace CloudShards.Cli.Tests;

/// <summary><c>cloudshards tag</c>, in a folder and in a container.</summary>
public sealed class TagTests(AzuriteFixture azurite) : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    private DirectoryShardStore Store => new(_folder.Path);

    public void Dispose() => _folder.Dispose();

    [Fact]
    public async Task ATagIsToldWithWhenAndByWhatItWasMoved()
    {
        var digest = (await PackedCheckpoint.PublishAsync(Store)).Reference.Digest!.Value;
        var uploadedAt = new DateTimeOffset(2026, 11, 5, 11, 0, 0, TimeSpan.Zero);
        var tag = new ShardTag(digest, uploadedAt.AddHours(1), [new("net/model.pt", "0x1", uploadedAt)]);
        await Store.TryCreateAsync(StoreLayout.Tag("net", "uploaded"), tag.ToUtf8(), Token);

        var (byUpload, byHand) = (await TagAsync("net:uploaded"), await TagAsync("net"));

        Assert.Equal(
            new(ExitCode.Done, $"net:uploaded: {digest}\nmoved at 2026-11-05 12:00:00Z by the upload of net/model.pt (2026-11-05 11:00:00Z, 0x1)\n", ""), byUpload);
        Assert.Matches($@"^net:latest: {digest}\nmoved at \d{{4}}-\d\d-\d\d \d\d:\d\d:\d\dZ by hand\n$", byHand.Output);
    }

    [Theory]
    [InlineData("{0}")]
    [InlineData("net@{0}")]
    public async Task ARollbackIsOneCommand(string form)
    {
        var (old, recent) = (await PackedCheckpoint.PublishAsync(Store, 1), await PackedCheckpoint.PublishAsync(Store, 2));

        var run = await TagAsync("net", string.Format(null, form, old.Reference.Digest));

        Assert.Equal((ExitCode.Done, ""), (run.ExitCode, run.Error));
        Assert.StartsWith($"net:latest: {old.Reference.Digest}\nmoved at ", run.Output, StringComparison.Ordinal);
        Assert.EndsWith($"by hand\nbefore: {recent.Reference.Digest}\n", run.Output, StringComparison.Ordinal);
        Assert.Equal(old.Reference, await ShardedCheckpoint.ResolveAsync(Store, "net", Token));
    }

    [Fact]
    public async Task ANewTagIsMade()
    {
        var checkpoint = await PackedCheckpoint.PublishAsync(Store);

        var run = await TagAsync("net:prod", $"{checkpoint.Reference.Digest}", "--json");

        Assert.Equal((ExitCode.Done, "net:prod", $"{checkpoint.Reference.Digest}"), (
            run.ExitCode, run.Json.GetProperty("tag").GetString(), run.Json.GetProperty("digest").GetString()));
        Assert.Equal(System.Text.Json.JsonValueKind.Null, run.Json.GetProperty("before").ValueKind);
        Assert.Equal(checkpoint.Reference, await ShardedCheckpoint.ResolveAsync(Store, "net:prod", Token));
    }

    [Theory]
    [InlineData("net:prod", null, "There is no tag `net:prod`.")]
    [InlineData("net@sha256:0000000000000000000000000000000000000000000000000000000000000000", null, "names a manifest by its digest. Give a tag")]
    [InlineData("net", "sha256:12", "`sha256:12` is no digest.")]
    [InlineData("net", "prod", "`prod` is no digest.")]
    [InlineData("net", "other@sha256:0000000000000000000000000000000000000000000000000000000000000000", "is no manifest of `net`.")]
    [InlineData("net", "sha256:0000000000000000000000000000000000000000000000000000000000000000", "has no manifest sha256:0000")]
    public async Task WhatCannotBeIsAnErrorAndTheTagStays(string tag, string? digest, string because)
    {
        var checkpoint = await PackedCheckpoint.PublishAsync(Store);

        var run = await (digest is null ? TagAsync(tag) : TagAsync(tag, digest));

        Assert.Equal((ExitCode.Failed, "", 1), (run.ExitCode, run.Output, run.Error.Count(character => character == '\n')));
        Assert.Contains(because, run.Error, StringComparison.Ordinal);
        Assert.Equal(checkpoint.Reference, await ShardedCheckpoint.ResolveAsync(Store, "net", Token));
    }

    [Fact]
    public async Task ATagInAContainerIsMovedByWhoeverMayWrite()
    {
        var container = await azurite.NewContainerAsync();
        var store = new BlobShardStore(container);
        var (old, recent) = (await PackedCheckpoint.PublishAsync(store, 1), await PackedCheckpoint.PublishAsync(store, 2));
        string AddressFor(BlobContainerSasPermissions may) => container.GenerateSasUri(may, DateTimeOffset.UtcNow.AddDays(1)).AbsoluteUri;

        var forbidden = await CommandRun.RunAsync(["tag", AddressFor(BlobContainerSasPermissions.Read), "net", $"{old.Reference.Digest}"], Token);
        Assert.Equal(recent.Reference, await ShardedCheckpoint.ResolveAsync(store, "net", Token));
        var moved = await CommandRun.RunAsync(
            ["tag", AddressFor(BlobContainerSasPermissions.Read | BlobContainerSasPermissions.Write), "net", $"{old.Reference.Digest}"], Token);

        Assert.Equal(ExitCode.Failed, forbidden.ExitCode);
        Assert.Contains("Storage Blob Data Contributor", forbidden.Error, StringComparison.Ordinal);
        Assert.Equal((ExitCode.Done, ""), (moved.ExitCode, moved.Error));
        Assert.Equal(old.Reference, await ShardedCheckpoint.ResolveAsync(store, "net", Token));
    }

    private Task<CommandRun> TagAsync(params ReadOnlySpan<string> args) => CommandRun.RunAsync(["tag", _folder.Path, .. args], Token);
}
