using System.Collections.Immutable;
using System.Globalization;
using System.Text.Json;
using System.Text.Json.Serialization;
using System.Text.Json.Serialization.Metadata;

namespace CloudShards.Sharding;

/// <summary>The plans of jobs that are sharded by several workers, and what those have done. Every document is written once and never changes.</summary>
/// <param name="work">The work container.</param>
internal sealed class PlanStore(IShardStore work)
{
    // A plan has a hundred bytes for each batch and file, a page or a receipt some hundred for each tensor; values are what the checkpoint makes them.
    private const int MaxDocumentBytes = 512 << 20;

    // The tensors are read and written page by page: all of them may be 30 MB.
    private const int PageTensors = 4096;
    private const int MaxConcurrency = 8;

    /// <summary>Writes a plan, unless the job has one.</summary>
    /// <returns>The plan that stands: this one, or that of a worker before, whose bounds may be others.</returns>
    public async Task<ShardPlan> CreateAsync(ShardPlan plan, CancellationToken cancellationToken) =>
        await TryCreateAsync(PlanOf(plan.Job), plan, PlanJson.Default.ShardPlan, cancellationToken).ConfigureAwait(false)
            ? plan
            : await ReadAsync(plan.Job, cancellationToken).ConfigureAwait(false);

    /// <summary>Reads a plan.</summary>
    public Task<ShardPlan> ReadAsync(string job, CancellationToken cancellationToken) =>
        ReadAsync(PlanOf(job), PlanJson.Default.ShardPlan, cancellationToken);

    /// <summary>Writes what the standing plan speaks of, as far as it is not there.</summary>
    public async Task CreateDetailsAsync(PlannedCheckpoint planned, CancellationToken cancellationToken)
    {
        var job = planned.Plan.Job;
        await Parallel.ForAsync(0, PageCount(planned.Plan), Parallelism(cancellationToken), async (page, token) =>
        {
            var tensors = planned.Tensors.Tensors.Slice(page * PageTensors, Math.Min(PageTensors, planned.Plan.TensorCount - (page * PageTensors)));
            await TryCreateAsync(TensorsOf(job, page), new(tensors), PlanJson.Default.TensorPage, token).ConfigureAwait(false);
        }).ConfigureAwait(false);
        var metadata = new PlannedMetadata(planned.Tensors.Metadata, planned.Tensors.Values);
        await TryCreateAsync(MetadataOf(job), metadata, PlanJson.Default.PlannedMetadata, cancellationToken).ConfigureAwait(false);
        await Parallel.ForEachAsync(planned.Batches, Parallelism(cancellationToken), async (batch, token) =>
            await TryCreateAsync(BatchOf(job, batch.Number), batch, PlanJson.Default.ShardBatch, token).ConfigureAwait(false)).ConfigureAwait(false);
    }

    /// <summary>The number of pages that a plan's tensors are on.</summary>
    public static int PageCount(ShardPlan plan) => (plan.TensorCount + PageTensors - 1) / PageTensors;

    /// <summary>Reads a page of tensors; the pages follow each other in the checkpoint's order.</summary>
    public Task<TensorPage> ReadPageAsync(string job, int page, CancellationToken cancellationToken) =>
        ReadAsync(TensorsOf(job, page), PlanJson.Default.TensorPage, cancellationToken);

    /// <summary>Reads what the manifest says beside tensors.</summary>
    public Task<PlannedMetadata> ReadMetadataAsync(string job, CancellationToken cancellationToken) =>
        ReadAsync(MetadataOf(job), PlanJson.Default.PlannedMetadata, cancellationToken);

    /// <summary>Reads a batch.</summary>
    public Task<ShardBatch> ReadBatchAsync(string job, int batch, CancellationToken cancellationToken) =>
        ReadAsync(BatchOf(job, batch), PlanJson.Default.ShardBatch, cancellationToken);

    /// <summary>Writes a batch's receipt. One that is there says the same but for who wrote the shards; it is renewed.</summary>
    public async Task WriteReceiptAsync(string job, ShardReceipt receipt, CancellationToken cancellationToken)
    {
        var name = ReceiptOf(job, receipt.Batch);
        if (!await TryCreateAsync(name, receipt, PlanJson.Default.ShardReceipt, cancellationToken).ConfigureAwait(false))
        {
            await work.TryRenewAsync(name, cancellationToken).ConfigureAwait(false);
        }
    }

    /// <summary>Reads a batch's receipt.</summary>
    public Task<ShardReceipt> ReadReceiptAsync(string job, int batch, CancellationToken cancellationToken) =>
        ReadAsync(ReceiptOf(job, batch), PlanJson.Default.ShardReceipt, cancellationToken);

    /// <summary>The numbers of the batches that have a receipt, and when those were written.</summary>
    public async Task<Dictionary<int, DateTimeOffset>> ListReceiptsAsync(string job, CancellationToken cancellationToken)
    {
        var prefix = $"jobs/{job}/receipts/";
        var receipts = new Dictionary<int, DateTimeOffset>();
        await foreach (var blob in work.ListAsync(prefix, cancellationToken).ConfigureAwait(false))
        {
            if (int.TryParse(Path.GetFileNameWithoutExtension(blob.Name.AsSpan(prefix.Length)), CultureInfo.InvariantCulture, out var number))
            {
                receipts[number] = blob.ModifiedAt;
            }
        }

        return receipts;
    }

    /// <summary>Reads the receipts of all of a plan's batches.</summary>
    public async Task<ShardReceipt[]> ReadReceiptsAsync(ShardPlan plan, CancellationToken cancellationToken)
    {
        var receipts = new ShardReceipt[plan.Batches.Length];
        await Parallel.ForAsync(0, receipts.Length, Parallelism(cancellationToken), async (number, token) =>
            receipts[number] = await ReadReceiptAsync(plan.Job, number, token).ConfigureAwait(false)).ConfigureAwait(false);
        return receipts;
    }

    private async Task<bool> TryCreateAsync<T>(string name, T document, JsonTypeInfo<T> type, CancellationToken cancellationToken) =>
        await work.TryCreateAsync(name, JsonSerializer.SerializeToUtf8Bytes(document, type), cancellationToken).ConfigureAwait(false);

    private async Task<T> ReadAsync<T>(string name, JsonTypeInfo<T> type, CancellationToken cancellationToken)
        where T : class
    {
        var document = await work.TryReadDocumentAsync(name, MaxDocumentBytes, cancellationToken).ConfigureAwait(false)
            ?? throw Errors.DocumentMissing(name);
        try
        {
            return JsonSerializer.Deserialize(document.Content.Span, type) ?? throw Errors.DocumentUnreadable(name);
        }
        catch (JsonException e)
        {
            throw Errors.DocumentUnreadable(name, e);
        }
    }

    private static ParallelOptions Parallelism(CancellationToken cancellationToken) =>
        new() { MaxDegreeOfParallelism = MaxConcurrency, CancellationToken = cancellationToken };

    private static string PlanOf(string job) => $"jobs/{job}/plan.json";

    private static string TensorsOf(string job, int page) => $"jobs/{job}/tensors/{page}.json";

    private static string MetadataOf(string job) => $"jobs/{job}/metadata.json";

    private static string BatchOf(string job, int number) => $"jobs/{job}/batches/{number}.json";

    private static string ReceiptOf(string job, int number) => $"jobs/{job}/receipts/{number}.json";
}

/// <summary>Some thousand tensors: <c>jobs/{job}/tensors/{n}.json</c>.</summary>
internal sealed record TensorPage(ImmutableArray<PlannedTensor> Tensors);

/// <summary>What the manifest says beside tensors: <c>jobs/{job}/metadata.json</c>.</summary>
internal sealed record PlannedMetadata(ImmutableSortedDictionary<string, string> Metadata, JsonElement Values);

[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase,
    GenerationMode = JsonSourceGenerationMode.Metadata,
    DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
    IgnoreReadOnlyProperties = true,
    UseStringEnumConverter = true)]
[JsonSerializable(typeof(ShardPlan))]
[JsonSerializable(typeof(TensorPage))]
[JsonSerializable(typeof(PlannedMetadata))]
[JsonSerializable(typeof(ShardBatch))]
[JsonSerializable(typeof(ShardReceipt))]
internal sealed partial class PlanJson : JsonSerializerContext;
