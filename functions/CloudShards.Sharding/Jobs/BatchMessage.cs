using System.Text.Json;
using System.Text.Json.Serialization;

namespace CloudShards.Sharding;

/// <summary>A message of the queue <c>shard-batches</c>: which batch of which job is to be written.</summary>
/// <param name="Job">The job's id.</param>
/// <param name="Batch">The batch's number.</param>
internal sealed record BatchMessage(string Job, int Batch)
{
    /// <summary>Reads a message.</summary>
    /// <exception cref="FormatException">It is not one.</exception>
    public static BatchMessage Parse(BinaryData message)
    {
        ArgumentNullException.ThrowIfNull(message);
        try
        {
            return JsonSerializer.Deserialize(message.ToMemory().Span, BatchJson.Default.BatchMessage) is { Job: { Length: > 0 } job, Batch: >= 0 } batch
                && job.All(char.IsAsciiHexDigitLower)
                ? batch
                : throw Errors.NotABatchMessage("it lacks the job or the batch");
        }
        catch (JsonException e)
        {
            throw Errors.NotABatchMessage(e.Message, e);
        }
    }

    public BinaryData ToBinaryData() => new(JsonSerializer.SerializeToUtf8Bytes(this, BatchJson.Default.BatchMessage));
}

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, RespectRequiredConstructorParameters = true)]
[JsonSerializable(typeof(BatchMessage))]
internal sealed partial class BatchJson : JsonSerializerContext;
