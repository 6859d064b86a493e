using Azure;
using Azure.Core;
using Azure.Core.Pipeline;
using Azure.Storage.Blobs.Models;

[assembly: AssemblyFixture(typeof(CloudShards.Testing.AzuriteFixture))]

namespace CloudShards.Testing.Tests;

public sealed class RequestRecorderTests(AzuriteFixture azurite)
{
    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task ARangedReadIsRecordedWithItsAnswer()
    {
        var recorder = new RequestRecorder();
        var container = await azurite.NewContainerAsync(recorder);
        var upload = await container.UploadBlobAsync("a/b.bin", new BinaryData(new byte[100]), Token);
        var options = new BlobDownloadOptions { Range = new HttpRange(10, 20), Conditions = new() { IfMatch = upload.Value.ETag } };
        await container.GetBlobClient("a/b.bin").DownloadContentAsync(options, Token);

        var path = $"/devstoreaccount1/{container.Name}/a/b.bin";
        Assert.Equal(
            [
                new("PUT", path) { Blob = "a/b.bin", BodyBytes = 100, IfNoneMatch = "*", Status = 201, ResponseBytes = 0 },
                new("GET", path)
                {
                    Blob = "a/b.bin", Range = "bytes=10-29", IfMatch = upload.Value.ETag.ToString("H"), Status = 206, ResponseBytes = 20,
                },
            ],
            recorder.Requests);
    }

    [Fact]
    public async Task OperationsOfTheSameMethodDifferByTheirComponent()
    {
        var recorder = new RequestRecorder();
        var container = await azurite.NewContainerAsync(recorder);
        await foreach (var _ in container.GetBlobsAsync(cancellationToken: Token))
        {
        }

        Assert.Equal([("GET", "list", "")], recorder.Requests.Select(request => (request.Method, request.Component, request.Blob)));
    }

    [Fact]
    public async Task EachRetryIsARequest()
    {
        var recorder = new RequestRecorder();
        var container = await azurite.NewContainerAsync(recorder, new FirstRequestFails());

        await container.GetPropertiesAsync(cancellationToken: Token);

        Assert.Equal([null, 200], recorder.Requests.Select(request => request.Status));
    }

    [Fact]
    public async Task ClearedRequestsAreForgotten()
    {
        var recorder = new RequestRecorder();
        var container = await azurite.NewContainerAsync(recorder);
        await container.ExistsAsync(Token);

        recorder.Clear();

        Assert.Empty(recorder.Requests);
    }

    private sealed class FirstRequestFails : HttpPipelinePolicy
    {
        private bool _failed;

        public override void Process(HttpMessage message, ReadOnlyMemory<HttpPipelinePolicy> pipeline)
        {
            FailOnce();
            ProcessNext(message, pipeline);
        }

        public override ValueTask ProcessAsync(HttpMessage message, ReadOnlyMemory<HttpPipelinePolicy> pipeline)
        {
            FailOnce();
            return ProcessNextAsync(message, pipeline);
        }

        private void FailOnce()
        {
            if (!_failed)
            {
                _failed = true;
                throw new IOException("The connection broke.");
            }
        }
    }
}
