using Azure.Storage;
using Azure.Storage.Blobs.Models;
using CloudShards.LocalHost;
using CloudShards.Sharding;

namespace CloudShards.Benchmarks.Servers;

/// <summary>Azurite: slow, but it speaks the whole protocol.</summary>
internal sealed class EmulatorServer : IStorageServer
{
    private readonly AzuriteServer _azurite;
    private readonly Traffic _traffic = new();

    private EmulatorServer(AzuriteServer azurite) => (_azurite, Account) = (azurite, new(azurite.ConnectionString, null));

    public string Description => "Azurite";

    public Account Account { get; }

    public static async Task<EmulatorServer> StartAsync(IProgress<string> progress, CancellationToken cancellationToken) =>
        new(await AzuriteServer.StartAsync(new() { Progress = progress }, cancellationToken));

    public async Task<Stream> OpenUploadAsync(string file, CancellationToken cancellationToken)
    {
        var uploads = Account.Container(StorageNames.Uploads, _traffic);
        await uploads.CreateIfNotExistsAsync(cancellationToken: cancellationToken);

        // Without a sum to check, Azurite makes a CRC-64 of each block, in JavaScript.
        var options = new BlobOpenWriteOptions { TransferValidation = new() { ChecksumAlgorithm = StorageChecksumAlgorithm.MD5 } };
        return await uploads.GetBlobClient(file).OpenWriteAsync(overwrite: true, options, cancellationToken);
    }

    public async Task<IShardStore> OpenStoreAsync(string container, CancellationToken cancellationToken)
    {
        var client = Account.Container(container, _traffic);
        await client.CreateIfNotExistsAsync(cancellationToken: cancellationToken);
        return new BlobShardStore(client);
    }

    public Task WarmAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public async ValueTask DisposeAsync()
    {
        await _azurite.DisposeAsync();
        _traffic.Dispose();
    }
}
