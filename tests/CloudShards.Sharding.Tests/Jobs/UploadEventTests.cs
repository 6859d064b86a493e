using System.Text.Json;
using Azure;
using CsCheck;

namespace CloudShards.Sharding.Tests.Jobs;

public sealed class UploadEventTests
{
    // As in learn.microsoft.com/azure/event-grid/event-schema-blob-storage, the cloud event schema.
    private const string Published = """
        {
          "source": "/subscriptions/{subscription-id}/resourceGroups/Storage/providers/Microsoft.Storage/storageAccounts/my-storage-account",
          "subject": "/blobServices/default/containers/test-container/blobs/new-file.txt",
          "type": "Microsoft.Storage.BlobCreated",
          "time": "2017-06-26T18:41:00.9584103Z",
          "id": "831e1650-001e-001b-66ab-eeb76e069631",
          "data": {
            "api": "PutBlockList",
            "clientRequestId": "6d79dbfb-0e37-4fc4-981f-442c9ca65760",
            "requestId": "831e1650-001e-001b-66ab-eeb76e000000",
            "eTag": "\"0x8D4BCC2E4835CD0\"",
            "contentType": "text/plain",
            "contentLength": 524288,
            "blobType": "BlockBlob",
            "url": "https://my-storage-account.blob.core.windows.net/testcontainer/new-file.txt",
            "sequencer": "00000000000004420000000000028963",
            "storageDiagnostics": {"batchId": "b68529f3-68cd-4744-baa4-3c0498ec19f0"}
          },
          "specversion": "1.0"
        }
        """;

    /// <summary>Names of containers and of blobs in them.</summary>
    public static TheoryData<string, string> Paths => new()
    {
        { "checkpoints", "model.pt" },
        { "checkpoints", "llama-3-8b/model-00001-of-00002.safetensors" },
        { "checkpoints", "a/blobs/b.pt" },
        { "checkpoints", "with space, %2F, \"quotes\" and ünïcödé.pt" },
        { "blobs", "blobs/blobs" },
    };

    /// <summary>What else a queue may hold, and what its refusal says.</summary>
    public static TheoryData<string, string, string> Others => new()
    {
        { "nothing", "", "JSON" },
        { "null", "null", "it is empty" },
        { "empty list", "[]", "it is empty" },
        { "list of null", "[null]", "" },
        { "number", "42", "" },
        { "text", "\"text\"", "" },
        { "path", "model.pt", "is an invalid" },
        { "empty object", "{}", "must be specified" },
        { "two events", $"[{Published},{Published}]", "multiple cloud events" },
        { "cut short", Published[..^2], "" },
        { "Event Grid's own schema", EventGridSchema, "Check that the Event Grid subscription delivers CloudEvents 1.0" },
        { "Event Grid's own schema in a list", $"[{EventGridSchema}]", "Check that the Event Grid subscription delivers CloudEvents 1.0" },
        { "deletion", With("type", "\"Microsoft.Storage.BlobDeleted\""), "its type is `Microsoft.Storage.BlobDeleted`" },
        { "folder", With("type", "\"Microsoft.Storage.DirectoryCreated\""), "its type is `Microsoft.Storage.DirectoryCreated`" },
        { "no subject", With("subject", null), "its subject ``" },
        { "queue", With("subject", "\"/queueServices/default/queues/q\""), "its subject `/queueServices/default/queues/q`" },
        { "container", With("subject", "\"/blobServices/default/containers/c\""), "lacks the blob's path" },
        { "no data", With("data", null), "lacks the blob's path or ETag" },
        { "null data", With("data", "null"), "lacks the blob's path or ETag" },
        { "no ETag", With("data", "{}"), "lacks the blob's path or ETag" },
        { "null ETag", With("data", """{"eTag": null}"""), "lacks the blob's path or ETag" },
        { "empty ETag", With("data", """{"eTag": ""}"""), "lacks the blob's path or ETag" },
        { "empty quoted ETag", With("data", """{"eTag": "\"\""}"""), "lacks the blob's path or ETag" },
        { "number as ETag", With("data", """{"eTag": 7}"""), "" },
        { "text as data", With("data", "\"text\""), "" },
        { "list as data", With("data", "[]"), "" },
        { "data that is no Base64", With("data", null, "\"data_base64\": \"!\","), "" },
        { "number as Base64", With("data", null, "\"data_base64\": 5,"), "" },
        { "text in Base64", With("data", null, "\"data_base64\": \"dGV4dA==\","), "" },
        { "number as type", With("type", "5"), "" },
        { "text as time", With("time", "\"yesterday\""), "" },
        { "half a character", With("subject", "\"/blobServices/default/containers/c/blobs/\\ud800.pt\""), "" },
    };

    private static string EventGridSchema => """
        {
          "topic": "/subscriptions/1/resourceGroups/a/providers/Microsoft.Storage/storageAccounts/b",
          "subject": "/blobServices/default/containers/test-container/blobs/new-file.txt",
          "eventType": "Microsoft.Storage.BlobCreated",
          "eventTime": "2017-06-26T18:41:00.9584103Z",
          "id": "831e1650-001e-001b-66ab-eeb76e069631",
          "data": {"api": "PutBlockList", "eTag": "0x8D4BCC2E4835CD0"},
          "dataVersion": "",
          "metadataVersion": "1"
        }
        """;

    [Fact]
    public void ThePublishedExampleIsRead() => Assert.Equal(
        new("test-container", "new-file.txt", new("0x8D4BCC2E4835CD0")), UploadEvent.Parse(new(Published)));

    [Fact]
    public void AnEventAloneInAListIsRead() => Assert.Equal("new-file.txt", UploadEvent.Parse(new($"[{Published}]")).Path);

    [Theory]
    [MemberData(nameof(Paths))]
    public void WhatIsCreatedIsParsed(string container, string path)
    {
        var blob = new UriBuilder("https", "account.blob.core.windows.net", -1, $"{container}/{path}", "?sv=1&sig=secret").Uri;

        var message = UploadEvent.Create(blob, container, path, new("\"0x8D4\""), DateTimeOffset.UnixEpoch);

        Assert.Equal(new(container, path, new("0x8D4")), UploadEvent.Parse(message));
        Assert.DoesNotContain("secret", message.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public void TheLongestNameFitsIntoAQueueMessage()
    {
        const int MaxMessageBytes = 64 << 10;
        var path = new string('\u4e16', 1024);

        var message = UploadEvent.Create(new($"https://account.blob.core.windows.net/c/{path}"), "c", path, new("0x8D4"), DateTimeOffset.UnixEpoch);

        Assert.True(Convert.ToBase64String(message).Length <= MaxMessageBytes);
    }

    [Theory]
    [InlineData("0x8D4")]
    [InlineData("\"0x8D4\"")]
    public void AnETagReadsTheSameWithAndWithoutQuotes(string etag) => Assert.Equal("0x8D4", UploadEvent.TextOf(new ETag(etag)));

    [Theory]
    [MemberData(nameof(Others))]
    public void AnythingElseIsRefused(string what, string message, string because)
    {
        var exception = Assert.Throws<FormatException>(() => UploadEvent.Parse(new(message)));

        Assert.StartsWith("The message is not a CloudEvent `Microsoft.Storage.BlobCreated`: ", exception.Message, StringComparison.Ordinal);
        Assert.True(exception.Message.Contains(because, StringComparison.Ordinal), $"{what}: {exception.Message}");
    }

    [Fact]
    public void BytesThatAreNotTextAreRefused() => Assert.Throws<FormatException>(() => UploadEvent.Parse(new([0xFF, 0xFE, 0x00])));

    [Fact]
    public void WhateverTheBytesNothingButAFormatExceptionEscapes() =>
        Gen.Select(Gen.Int[0, Published.Length - 1], Gen.OneOfConst(Replacements), Gen.Int[0, 40]).Sample((at, text, cut) =>
        {
            var message = string.Concat(Published.AsSpan(0, at), text, Published.AsSpan(Math.Min(at + cut, Published.Length)));

            Assert.True(Record.Exception(() => UploadEvent.Parse(new(message))) is null or FormatException);
        });

    private static readonly string[] Replacements = ["", "\"", "{", "}", "[", "]", ":", ",", "null", "5", "\\", "\\ud800", "\u0000", "true", "{}"];

    private static string With(string field, string? value, string more = "")
    {
        var others = JsonElement.Parse(Published).EnumerateObject().Where(property => property.Name != field).Select(property => $"\"{property.Name}\": {property.Value.GetRawText()}");
        return $"{{{more}{string.Join(',', value is null ? others : others.Append($"\"{field}\": {value}"))}}}";
    }
}
