using System.Text.Json;
using System.Text.Json.Serialization;
using Azure;
using Azure.Messaging;

namespace CloudShards.Sharding;

/// <summary>A blob was written to the uploads container: what a <c>Microsoft.Storage.BlobCreated</c> CloudEvent says that matters here.</summary>
/// <param name="Container">The container.</param>
/// <param name="Path">The blob's name.</param>
/// <param name="ETag">The version that was written.</param>
public sealed record UploadEvent(string Container, string Path, ETag ETag)
{
    private const string EventType = "Microsoft.Storage.BlobCreated";
    private const string SubjectStart = "/blobServices/default/containers/";
    private const string SubjectMiddle = "/blobs/";

    /// <summary>Reads a CloudEvent 1.0 (schema: learn.microsoft.com/azure/event-grid/event-schema-blob-storage).</summary>
    /// <exception cref="FormatException">It is not one of a written blob.</exception>
    public static UploadEvent Parse(BinaryData message)
    {
        var (cloudEvent, data) = Read(message);
        if (cloudEvent is null)
        {
            throw Errors.NotAnUploadEvent("it is empty");
        }

        if (cloudEvent.Type != EventType || cloudEvent.Subject is not { } subject || !subject.StartsWith(SubjectStart, StringComparison.Ordinal))
        {
            throw Errors.NotAnUploadEvent($"its type is `{cloudEvent.Type}` and its subject `{cloudEvent.Subject}`");
        }

        var middle = subject.IndexOf(SubjectMiddle, SubjectStart.Length, StringComparison.Ordinal);
        return middle > 0 && data?.ETag?.Trim('"') is { Length: > 0 } etag
            ? new(subject[SubjectStart.Length..middle], subject[(middle + SubjectMiddle.Length)..], new ETag(etag))
            : throw Errors.NotAnUploadEvent("it lacks the blob's path or ETag");
    }

    /// <summary>The event that Event Grid raises for a written blob, for a host that stands in for it.</summary>
    /// <param name="blob">The blob's address.</param>
    /// <param name="container">Its container.</param>
    /// <param name="path">Its name.</param>
    /// <param name="etag">The version that was written.</param>
    /// <param name="writtenAt">When it was.</param>
    public static BinaryData Create(Uri blob, string container, string path, ETag etag, DateTimeOffset writtenAt)
    {
        ArgumentNullException.ThrowIfNull(blob);
        var data = JsonSerializer.SerializeToUtf8Bytes(new BlobCreated(TextOf(etag), blob.GetLeftPart(UriPartial.Path)), JobJson.Default.BlobCreated);
        var cloudEvent = new CloudEvent($"/containers/{container}", EventType, new BinaryData(data), "application/json", CloudEventDataFormat.Json)
        {
            Id = $"{path}@{TextOf(etag)}",
            Subject = $"{SubjectStart}{container}{SubjectMiddle}{path}",
            Time = writtenAt,
        };
        return BinaryData.FromObjectAsJson(cloudEvent);
    }

    // The parsers have an exception for each way in which a text can be wrong.
    private static (CloudEvent? Event, BlobCreated? Data) Read(BinaryData message)
    {
        try
        {
            var cloudEvent = CloudEvent.Parse(message);
            return (cloudEvent, cloudEvent?.Data is { } json ? JsonSerializer.Deserialize(json.ToMemory().Span, JobJson.Default.BlobCreated) : null);
        }
        catch (Exception e) when (e is JsonException or ArgumentException or InvalidOperationException or FormatException)
        {
            throw Errors.NotAnUploadEvent(e.Message, e);
        }
    }

    /// <summary>An ETag without the quotes that HTTP puts around it, as Event Grid writes it.</summary>
    internal static string TextOf(ETag etag) => etag.ToString("G").Trim('"');
}

/// <summary>The part of a BlobCreated event's data that matters here.</summary>
internal sealed record BlobCreated(
    [property: JsonPropertyName("eTag")] string ETag,
    [property: JsonPropertyName("url")] string Url);
