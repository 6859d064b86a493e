using Azure.Storage.Blobs;
using Azure.Storage.Sas;
using CloudShards.Formats;
using CloudShards.Testing;

namespace CloudShards.Cli.Tests;

/// <summary><c>cloudshards verify</c>, in a folder and in a container.</summary>
public sealed class VerifyTests(AzuriteFixture azurite) : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    private DirectoryShardStore Store => new(_folder.Path);

    public void Dispose() => _folder.Dispose();

    [Fact]
    public async Task WhatIsAsItWasWrittenIsAllRight()
    {
        var checkpoint = await PackedCheckpoint.PublishAsync(Store);

        var run = await VerifyAsync("net");

        Assert.Equal(
            new(ExitCode.Done, $"{checkpoint.Reference}: all right: 3 tensors in 2 shards and 1 pack, 260 B\n", ""), run);
    }

    [Fact]
    public async Task AFlippedByteIsFoundWithItsChunk()
    {
        var checkpoint = await PackedCheckpoint.PublishAsync(Store);
        Change(checkpoint.Large, content => content[130] ^= 1);

        var run = await VerifyAsync("net:latest");

        var lines = run.Output.Split('\n');
        Assert.Equal(ExitCode.Failed, run.ExitCode);
        Assert.StartsWith($"damaged: {checkpoint.Large} of `body.weight`: its bytes have the digest sha256:", lines[0], StringComparison.Ordinal);
        Assert.EndsWith(", and chunk 1 is the first that is wrong. Delete it and upload the checkpoint again.", lines[0], StringComparison.Ordinal);
        Assert.Equal($"{checkpoint.Reference}: 1 blob of 3 damaged or missing: 3 tensors in 2 shards and 1 pack, 260 B", lines[1]);
    }

    [Fact]
    public async Task AMissingShardIsNamedWithAllTensorsThatAreInIt()
    {
        var checkpoint = await PackedCheckpoint.PublishAsync(Store);
        File.Delete(PathOf(checkpoint.Tied));

        var run = await VerifyAsync("net");

        Assert.Equal(ExitCode.Failed, run.ExitCode);
        Assert.StartsWith(
            $"missing: {checkpoint.Tied} of `head.bias`, `tail.bias`: it is not in the store. Upload the checkpoint again.\n", run.Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task AMissingPackIsNoLossAndSaidAllTheSame()
    {
        var checkpoint = await PackedCheckpoint.PublishAsync(Store);
        File.Delete(PathOf(checkpoint.Pack));

        var run = await VerifyAsync("net");

        Assert.Equal(ExitCode.Failed, run.ExitCode);
        Assert.StartsWith($"missing: {checkpoint.Pack} of `head.bias`, `tail.bias`: it is not in the store. A pack only repeats shards", run.Output, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(-1)]
    [InlineData(1)]
    public async Task ABlobOfAnotherLengthIsDamaged(int by)
    {
        var checkpoint = await PackedCheckpoint.PublishAsync(Store);
        var content = File.ReadAllBytes(PathOf(checkpoint.Large));
        Array.Resize(ref content, content.Length + by);
        File.WriteAllBytes(PathOf(checkpoint.Large), content);

        var run = await VerifyAsync("net");

        Assert.Contains($"it has {250 + by} bytes, expected 250.", run.Output, StringComparison.Ordinal);
        Assert.Equal(ExitCode.Failed, run.ExitCode);
    }

    [Fact]
    public async Task ATensorThatIsElsewhereInItsPackIsFound()
    {
        var manifest = (await PackedCheckpoint.PublishAsync(Store)).Manifest;
        var pack = manifest.Packs[0] with { Tensors = [new("head.bias", 2), new("tail.bias", 1)] };
        await PackedCheckpoint.PublishAsync(Store, manifest with { Packs = [pack] });

        var run = await VerifyAsync("net");

        Assert.Contains("but `tail.bias` is not where the manifest says.", run.Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task SumsThatContradictTheDigestAreFound()
    {
        var manifest = (await PackedCheckpoint.PublishAsync(Store)).Manifest;
        var wrong = manifest.Tensors[2] with { Chunks = [1] };
        await PackedCheckpoint.PublishAsync(Store, manifest with { Tensors = manifest.Tensors.SetItem(2, wrong) });

        var run = await VerifyAsync("net");

        Assert.Contains("the manifest has other sums for `tail.bias`", run.Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task JsonHasEveryFault()
    {
        var checkpoint = await PackedCheckpoint.PublishAsync(Store);
        Change(checkpoint.Large, content => content[0] ^= 1);
        File.Delete(PathOf(checkpoint.Pack));

        var run = await VerifyAsync("net", "--json");

        var (json, faults) = (run.Json, run.Json.GetProperty("faults"));
        Assert.Equal((checkpoint.Reference.ToString(), 3, 2, 1, 260), (
            json.GetProperty("reference").GetString(),
            json.GetProperty("tensors").GetInt32(),
            json.GetProperty("shards").GetInt32(),
            json.GetProperty("packs").GetInt32(),
            json.GetProperty("bytes").GetInt32()));
        Assert.Equal(["digest", "missing"], faults.EnumerateArray().Select(fault => fault.GetProperty("fault").GetString()));
        Assert.Equal([checkpoint.Large, checkpoint.Pack], faults.EnumerateArray().Select(fault => fault.GetProperty("blob").GetString()));
        Assert.Equal(0, faults[0].GetProperty("chunk").GetInt32());
        Assert.Equal(["head.bias", "tail.bias"], faults[1].GetProperty("tensors").EnumerateArray().Select(name => name.GetString()));
        Assert.Equal((ExitCode.Failed, ""), (run.ExitCode, run.Error));
    }

    [Fact]
    public async Task ADamagedManifestIsAnErrorAndNothingIsRead()
    {
        var checkpoint = await PackedCheckpoint.PublishAsync(Store);
        Change(StoreLayout.Manifest("net", checkpoint.Reference.Digest!.Value), content => content[^2] = (byte)' ');

        var run = await VerifyAsync("net");

        Assert.Equal((ExitCode.Failed, ""), (run.ExitCode, run.Output));
        Assert.StartsWith("error: The manifest `checkpoints/net/manifests/", run.Error, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("net:prod", "error: There is no `net:prod`: ")]
    [InlineData("other", "error: There is no `other:latest`: ")]
    [InlineData("net:no tag", "error: ")]
    public async Task AWrongReferenceIsAnErrorOfOneLine(string reference, string beginning)
    {
        await PackedCheckpoint.PublishAsync(Store);

        var run = await VerifyAsync(reference);

        Assert.Equal((ExitCode.Failed, "", 1), (run.ExitCode, run.Output, run.Error.Count(character => character == '\n')));
        Assert.StartsWith(beginning, run.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task ATagThatCannotBeReadIsRefused()
    {
        await Store.TryCreateAsync(StoreLayout.Tag("net", "latest"), "nonsense"u8.ToArray(), Token);

        var run = await VerifyAsync("net", "--json");

        run.AssertRefused();
    }

    [Theory]
    [InlineData("https://account.blob.core.windows.net/", "is the address of no container")]
    [InlineData("https://account.blob.core.windows.net/shards/tensors", "is the address of no container")]
    [InlineData("https://example.com/shards", "is no address of Azure's, and has no SAS")]
    [InlineData("http://account.blob.core.windows.net/shards", "is no address of Azure's, and has no SAS")]
    [InlineData("/no/such/folder", "There is no `/no/such/folder`.")]
    public async Task WhatIsNoContainerIsAnError(string container, string because)
    {
        var run = await CommandRun.RunAsync(["verify", container, "net"], Token);

        Assert.Equal((ExitCode.Failed, ""), (run.ExitCode, run.Output));
        Assert.Contains(because, run.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task AContainerIsVerifiedByItsAddressAndASas()
    {
        var container = await azurite.NewContainerAsync();
        var checkpoint = await PackedCheckpoint.PublishAsync(new BlobShardStore(container));
        var address = AddressOf(container, BlobContainerSasPermissions.Read);

        var right = await CommandRun.RunAsync(["verify", address, "net"], Token);
        await container.DeleteBlobAsync(checkpoint.Tied, cancellationToken: Token);
        var wrong = await CommandRun.RunAsync(["verify", address, "net"], Token);

        Assert.Equal((ExitCode.Done, ""), (right.ExitCode, right.Error));
        Assert.Equal(ExitCode.Failed, wrong.ExitCode);
        Assert.StartsWith($"missing: {checkpoint.Tied} ", wrong.Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task AMissingContainerAndASasThatDoesNotReadAreErrors()
    {
        var container = await azurite.NewContainerAsync();
        await PackedCheckpoint.PublishAsync(new BlobShardStore(container));

        var forbidden = await CommandRun.RunAsync(["verify", AddressOf(container, BlobContainerSasPermissions.Delete), "net"], Token);
        await container.DeleteAsync(cancellationToken: Token);
        var missing = await CommandRun.RunAsync(["verify", AddressOf(container, BlobContainerSasPermissions.Read), "net"], Token);

        Assert.Contains("Storage Blob Data Reader", forbidden.Error, StringComparison.Ordinal);
        Assert.StartsWith($"error: There is no `net:latest`: the container `{container.Name}` does not exist.", missing.Error, StringComparison.Ordinal);
        Assert.Equal((ExitCode.Failed, ExitCode.Failed), (forbidden.ExitCode, missing.ExitCode));
        Assert.DoesNotContain("sig=", forbidden.Error + missing.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task EveryShardIsReadOnce()
    {
        var requests = new RequestRecorder();
        var container = await azurite.NewContainerAsync(requests);
        var checkpoint = await PackedCheckpoint.PublishAsync(new BlobShardStore(container));
        var blobs = CheckpointVerifier.BlobsOf(checkpoint.Manifest);
        using var progress = new VerifyProgress(null, blobs.Length, 0, TimeProvider.System);
        requests.Clear();

        var faults = await new CheckpointVerifier(new BlobShardStore(container), checkpoint.Manifest, progress).FindFaultsAsync(blobs, Token);

        Assert.Empty(faults);
        Assert.Equal(blobs.Length, requests.Requests.Count(request => request.Method == "GET"));
        Assert.Equal(260, requests.Requests.Where(request => request.Method == "GET").Sum(request => request.ResponseBytes));
    }

    [Fact]
    public async Task AnInterruptionEndsIt()
    {
        await PackedCheckpoint.PublishAsync(Store);

        var run = await CommandRun.RunAsync(["verify", _folder.Path, "net"], new(canceled: true));

        Assert.Equal(new(ExitCode.Interrupted, "", ""), run);
    }

    private static string AddressOf(BlobContainerClient container, BlobContainerSasPermissions permissions) =>
        container.GenerateSasUri(permissions, DateTimeOffset.UtcNow.AddDays(1)).AbsoluteUri;

    private Task<CommandRun> VerifyAsync(params ReadOnlySpan<string> args) => CommandRun.RunAsync(["verify", _folder.Path, .. args], Token);

    private string PathOf(string blob) => Path.Combine(_folder.Path, blob);

    private void Change(string blob, Action<byte[]> change)
    {
        var content = File.ReadAllBytes(PathOf(blob));
        change(content);
        File.WriteAllBytes(PathOf(blob), content);
    }
}
