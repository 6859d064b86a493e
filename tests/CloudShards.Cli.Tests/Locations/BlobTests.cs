using Azure.Storage.Blobs;
using Azure.Storage.Sas;
using CloudShards.Testing;

[assembly: AssemblyFixture(typeof(AzuriteFixture))]

namespace CloudShards.Cli.Tests;

/// <summary>Blobs, by addresses with a SAS.</summary>
public sealed class BlobTests(AzuriteFixture azurite)
{
    private static readonly CorpusFile File = CorpusFile.Get("views.pt");

    private static DateTimeOffset Tomorrow => DateTimeOffset.UtcNow.AddDays(1);

    [Fact]
    public async Task ABlobIsInspectedWhereItIs()
    {
        var blob = await UploadAsync(await azurite.NewContainerAsync(), File, "team/a/вью s.pt");

        var run = await InspectAsync(blob.GenerateSasUri(BlobSasPermissions.Read, Tomorrow));

        run.AssertIs(File);
    }

    [Fact]
    public async Task TheFilesOfASetAreFoundBesideItsIndex()
    {
        var container = await azurite.NewContainerAsync();
        foreach (var file in CorpusFile.All.Where(file => file.Name.StartsWith("hf_bin/", StringComparison.Ordinal)))
        {
            await UploadAsync(container, file, $"models/{file.Name}");
        }

        var sas = container.GenerateSasUri(BlobContainerSasPermissions.Read, Tomorrow);
        var index = CorpusFile.Get("hf_bin/pytorch_model.bin.index.json");

        var run = await InspectAsync(new UriBuilder(sas) { Path = $"{sas.AbsolutePath}/models/{index.Name}" }.Uri);

        run.AssertIs(index);
    }

    [Fact]
    public async Task AMissingBlobIsAnErrorThatKeepsTheSasToItself()
    {
        var container = await azurite.NewContainerAsync();

        var run = await InspectAsync(container.GetBlobClient("nothing.pt").GenerateSasUri(BlobSasPermissions.Read, Tomorrow));

        Assert.Equal(($"error: There is no `{container.Uri}/nothing.pt`. Check the path or address.\n", ExitCode.Failed), (run.Error, run.ExitCode));
    }

    [Fact]
    public async Task ASasWithoutPermissionIsAnError()
    {
        var blob = await UploadAsync(await azurite.NewContainerAsync(), File, "a.pt");

        var run = await InspectAsync(blob.GenerateSasUri(BlobSasPermissions.Delete, Tomorrow));

        Assert.Equal(ExitCode.Failed, run.ExitCode);
        Assert.StartsWith("error: This may not be read: ", run.Error, StringComparison.Ordinal);
        Assert.DoesNotContain("sig=", run.Error, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("https://account.blob.core.windows.net/container")]
    [InlineData("https://account.z01.blob.storage.azure.net/container/")]
    public async Task TheAddressOfAContainerIsAnError(string address)
    {
        var run = await InspectAsync(new(address));

        Assert.Equal(ExitCode.Failed, run.ExitCode);
        Assert.Contains("is the address of no blob", run.Error, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("https://account.blob.core.windows.net/container/blob", true)]
    [InlineData("https://ACCOUNT.BLOB.CORE.WINDOWS.NET/container/blob", true)]
    [InlineData("http://account.blob.core.windows.net/container/blob", false)]
    [InlineData("https://account.blob.core.windows.net.example.com/container/blob", false)]
    [InlineData("https://blob.core.windows.net/container/blob", false)]
    [InlineData("https://example.com/container/blob", false)]
    [InlineData("https://example.com/container/blob?sv=2026-02-06&sig=x", true)]
    [InlineData("https://example.com/container/blob?sv=2026-02-06", false)]
    [InlineData("https://example.com/container/blob?sv=2026-02-06&sig=x&se=someday", false)]
    [InlineData("https://example.com", false)]
    public void OnlyAzuresOwnHostsAndASasMakeABlob(string address, bool expected) =>
        Assert.Equal(expected, BlobLocation.TryOf(new(address)) is not null);

    private static async Task<BlobClient> UploadAsync(BlobContainerClient container, CorpusFile file, string name)
    {
        var blob = container.GetBlobClient(name);
        await blob.UploadAsync(BinaryData.FromBytes(file.ReadAllBytes()), TestContext.Current.CancellationToken);
        return blob;
    }

    private static Task<CommandRun> InspectAsync(Uri address) => CommandRun.InspectAsync("--json", "--digests", address.AbsoluteUri);
}
