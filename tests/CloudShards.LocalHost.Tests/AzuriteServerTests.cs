using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using Azure.Storage.Blobs;
using Azure.Storage.Queues;

namespace CloudShards.LocalHost.Tests;

public sealed class AzuriteServerTests
{
    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task BlobsAndQueuesWorkWithTheAzureClients()
    {
        await using var server = await AzuriteServer.StartAsync(cancellationToken: Token);

        var container = new BlobContainerClient(server.ConnectionString, "uploads");
        await container.CreateAsync(cancellationToken: Token);
        await container.UploadBlobAsync("a.bin", BinaryData.FromBytes("content"u8.ToArray()), Token);
        var content = await container.GetBlobClient("a.bin").DownloadContentAsync(Token);
        var queue = new QueueClient(server.ConnectionString, "events");
        await queue.CreateAsync(cancellationToken: Token);
        await queue.SendMessageAsync("message", Token);
        var message = await queue.ReceiveMessageAsync(cancellationToken: Token);

        Assert.Equal("content", content.Value.Content.ToString());
        Assert.Equal("message", message.Value.MessageText);
        Assert.StartsWith(server.BlobEndpoint.ToString(), container.Uri.ToString(), StringComparison.Ordinal);
        Assert.StartsWith(server.QueueEndpoint.ToString(), queue.Uri.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task TwoServersRunSideBySide()
    {
        var servers = await Task.WhenAll(
            AzuriteServer.StartAsync(cancellationToken: Token), AzuriteServer.StartAsync(cancellationToken: Token));
        await using var one = servers[0];
        await using var other = servers[1];

        await new BlobContainerClient(one.ConnectionString, "only-in-one").CreateAsync(cancellationToken: Token);

        Assert.NotEqual(one.ProcessId, other.ProcessId);
        Assert.NotEqual(one.Folder, other.Folder);
        Assert.False(await new BlobContainerClient(other.ConnectionString, "only-in-one").ExistsAsync(Token));
    }

    [Fact]
    public async Task DisposalLeavesNoProcessAndNoFolder()
    {
        var server = await AzuriteServer.StartAsync(cancellationToken: Token);
        using var process = Process.GetProcessById(server.ProcessId);
        Assert.False(process.HasExited);

        await Task.WhenAll(server.DisposeAsync().AsTask(), server.DisposeAsync().AsTask());
        await server.DisposeAsync();

        Assert.True(process.HasExited);
        Assert.False(Directory.Exists(server.Folder));
    }

    [Fact]
    public async Task AFolderThatTheCallerChoseIsKept()
    {
        var folder = Directory.CreateTempSubdirectory("kept-");
        try
        {
            var options = new AzuriteOptions { Folder = folder.FullName };
            await using (var first = await AzuriteServer.StartAsync(options, Token))
            {
                await new BlobContainerClient(first.ConnectionString, "kept").CreateAsync(cancellationToken: Token);
            }

            await using var second = await AzuriteServer.StartAsync(options, Token);
            Assert.True(await new BlobContainerClient(second.ConnectionString, "kept").ExistsAsync(Token));
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }

    [Fact(Timeout = 60_000)]
    public async Task AzuriteEndsWhenItsStarterIsKilled()
    {
        // Azurite's process opens a connection here and never touches it again: only the end of the process ends it.
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        var port = ((IPEndPoint)listener.LocalEndpoint).Port;
        var start = new ProcessStartInfo(AzuriteStarter.Command, [AzuriteStarter.Argument]) { RedirectStandardOutput = true };
        start.Environment["NODE_OPTIONS"] =
            $"--import=data:text/javascript,import{{connect}}from'node:net';connect({port},'127.0.0.1').unref()";
        using var starter = Process.Start(start)!;
        using var witness = await listener.AcceptTcpClientAsync(Token);
        var folder = (await starter.StandardOutput.ReadLineAsync(Token))!;

        starter.Kill();

        var read = await Record.ExceptionAsync(async () => Assert.Equal(0, await witness.GetStream().ReadAsync(new byte[1], Token)));
        Assert.True(read is null or IOException, $"{read}");
        Directory.Delete(folder, recursive: true);
    }

    [Fact]
    public async Task AMissingNodeIsNamedWithItsCure()
    {
        var options = new AzuriteOptions { NodeCommand = "no-such-node" };

        var exception = await Assert.ThrowsAsync<AzuriteException>(() => AzuriteServer.StartAsync(options, Token));

        Assert.Contains("`no-such-node` could not be started", exception.Message, StringComparison.Ordinal);
        Assert.Contains("https://nodejs.org", exception.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task AnAzuriteThatEndsAtOnceShowsItsLastLines()
    {
        // `dotnet run.cjs …` fails at once, with a complaint about its argument.
        var options = new AzuriteOptions { NodeCommand = "dotnet" };

        var exception = await Assert.ThrowsAsync<AzuriteException>(() => AzuriteServer.StartAsync(options, Token));

        Assert.Contains("before it listened", exception.Message, StringComparison.Ordinal);
        Assert.Contains("run.cjs", exception.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task AnAzuriteThatDoesNotListenInTimeIsAbandoned()
    {
        var options = new AzuriteOptions { ReadyTimeout = TimeSpan.Zero };

        var exception = await Assert.ThrowsAsync<AzuriteException>(() => AzuriteServer.StartAsync(options, Token));

        Assert.Contains("AzuriteOptions.ReadyTimeout", exception.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task AStartCanBeCancelled()
    {
        using var cancelled = new CancellationTokenSource();
        await cancelled.CancelAsync();

        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => AzuriteServer.StartAsync(cancellationToken: cancelled.Token));
    }
}
