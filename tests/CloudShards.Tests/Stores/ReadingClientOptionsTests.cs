using System.Net;
using Azure;
using Azure.Core.Pipeline;
using Azure.Storage.Blobs;

namespace CloudShards.Tests;

public sealed class ReadingClientOptionsTests
{
    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData(HttpStatusCode.ServiceUnavailable)]
    [InlineData(HttpStatusCode.TooManyRequests)]
    public async Task ARefusedRangeIsNotRetriedUnseen(HttpStatusCode busy)
    {
        var server = new ScriptedServer(_ => ScriptedServer.Refusal(busy, "ServerBusy"));

        var refused = await Assert.ThrowsAsync<RequestFailedException>(async () => await StoreOn(server).ReadAsync("a", 0, new byte[1], Token));
        Assert.Throws<RequestFailedException>(() => StoreOn(server).Read("a", 0, new byte[1], Token));

        Assert.Equal((int)busy, refused.Status);
        Assert.Equal(2, server.Requests.Count);
    }

    [Fact]
    public async Task ADocumentIsAskedForAgain()
    {
        var asked = 0;
        var server = new ScriptedServer(_ => ++asked == 1
            ? ScriptedServer.Refusal(HttpStatusCode.ServiceUnavailable, "ServerBusy")
            : ScriptedServer.Answer(HttpStatusCode.OK, [7]));

        var document = await StoreOn(server).TryReadDocumentAsync("a", 1, Token);

        Assert.Equal([7], document!.Content.ToArray());
        Assert.Equal(2, server.Requests.Count);
    }

    [Fact]
    public async Task ARangeThatFailsOtherwiseIsAskedForAgain()
    {
        var asked = 0;
        var server = new ScriptedServer(_ => ++asked == 1
            ? ScriptedServer.Refusal(HttpStatusCode.InternalServerError, "InternalError")
            : ScriptedServer.Answer(HttpStatusCode.PartialContent, [7], "bytes 0-0/9"));
        var read = new byte[1];

        await StoreOn(server).ReadAsync("a", 0, read, Token);

        Assert.Equal(7, read[0]);
    }

    private static BlobShardStore StoreOn(ScriptedServer server)
    {
        var options = ReadingClientOptions.Create();
        options.Transport = new HttpClientTransport(server);
        return new(new BlobContainerClient(new Uri("http://127.0.0.1/account/shards"), options));
    }
}
