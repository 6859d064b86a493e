using System.Text;
using System.Text.Json.Nodes;

namespace CloudShards.Formats.Tests.Manifest;

public sealed class ShardTagTests
{
    private static readonly DateTimeOffset Noon = new(2025, 3, 1, 12, 0, 0, TimeSpan.Zero);

    private static readonly ShardTag Tag = new(
        Digest.Of("abc"u8),
        Noon.AddHours(1),
        [new("llama/model.safetensors", "\"0x8D\"", Noon), new("llama/more.safetensors", "\"0x8E\"", Noon.AddMinutes(5))]);

    [Fact]
    public void ItReadsBackAsItWasWritten()
    {
        var read = ShardTag.Parse(Tag.ToUtf8());

        Assert.Equal((Tag.Digest, Tag.MovedAt), (read.Digest, read.MovedAt));
        Assert.Equal(Tag.Source, read.Source);
        Assert.Equal(Tag.ToUtf8(), read.ToUtf8());
    }

    [Fact]
    public void ItsUploadIsAsNewAsItsNewestFile()
    {
        Assert.Equal(Noon.AddMinutes(5), Tag.UploadedAt());
        Assert.Null((Tag with { Source = [] }).UploadedAt());
    }

    [Theory]
    [InlineData("")]
    [InlineData("null")]
    [InlineData("[]")]
    [InlineData("{}")]
    [InlineData("{\"digest\":1")]
    public void OtherDocumentsAreRefused(string json) => AssertRefused(Encoding.UTF8.GetBytes(json));

    [Theory]
    [InlineData("digest", null)]
    [InlineData("digest", "\"sha256:00\"")]
    [InlineData("digest", "7")]
    [InlineData("movedAt", null)]
    [InlineData("movedAt", "\"yesterday\"")]
    [InlineData("movedAt", "0")]
    [InlineData("source", null)]
    [InlineData("source", "{}")]
    [InlineData("source", "[null]")]
    [InlineData("source", "[{}]")]
    [InlineData("source", "[{\"path\":null,\"etag\":\"e\",\"uploadedAt\":\"2025-03-01T12:00:00+00:00\"}]")]
    [InlineData("source", "[{\"path\":\"p\",\"etag\":\"e\",\"uploadedAt\":null}]")]
    public void ABrokenPropertyIsRefused(string property, string? json)
    {
        foreach (var broken in (string?[])[json, "null"])
        {
            var document = JsonNode.Parse(Tag.ToUtf8())!.AsObject();
            document.Remove(property);
            if (broken is not null)
            {
                document.Add(property, JsonNode.Parse(broken));
            }

            AssertRefused(Encoding.UTF8.GetBytes(document.ToJsonString()));
        }
    }

    [Fact]
    public void TextThatIsNotUtf8IsRefused()
    {
        var bytes = Tag.ToUtf8();
        bytes[bytes.AsSpan().IndexOf("llama"u8)] = 0xff;

        AssertRefused(bytes);
    }

    private static void AssertRefused(byte[] document) =>
        Assert.Equal(CheckpointError.Malformed, Assert.Throws<CheckpointFormatException>(() => ShardTag.Parse(document)).Error);
}
