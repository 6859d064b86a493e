using System.Collections.Concurrent;
using System.Diagnostics;
using System.Diagnostics.Metrics;
using CloudShards.Formats;
using CloudShards.Sharding;
using CloudShards.Testing;

namespace CloudShards.EndToEnd.Tests;

/// <summary>What the pipeline measures and traces. Other tests run beside these, so that sums are at least what a test has done.</summary>
public sealed class ShardingTelemetryTests(AzuriteFixture azurite)
{
    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task EachStepOfAJobIsTraced()
    {
        var steps = new ConcurrentQueue<(string Step, object? Job)>();
        using var listener = new ActivityListener
        {
            ShouldListenTo = source => source.Name == ShardingTelemetry.Name,
            Sample = (ref ActivityCreationOptions<ActivityContext> _) => ActivitySamplingResult.AllData,
            ActivityStopped = activity => steps.Enqueue((activity.OperationName, activity.GetTagItem("cloudshards.job"))),
        };
        ActivitySource.AddActivityListener(listener);
        var storage = await StorageContainers.CreateAsync(azurite);
        var queue = await BatchQueue.CreateAsync(azurite);
        var worker = storage.NewPipeline(new() { MaxBatchShards = 2, MaxPackedBytes = 0 }, queue.Client);
        var upload = await storage.UploadAsync("model.safetensors", await Checkpoints.SmallAsync());

        var status = await worker.UploadedAsync(upload.Event, Token);
        await queue.WorkOffAsync(worker);

        string[] expected = ["Probe", "Plan", "Batch", "Batch", "Commit"];
        Assert.Equal(expected.Select(step => $"{ShardingTelemetry.Name}.{step}"), steps.Where(step => step.Job as string == status.Job).Select(step => step.Step));
    }

    [Fact]
    public async Task JobsShardsAndBytesAreCountedByWhatBecameOfThem()
    {
        var sums = new ConcurrentDictionary<string, double>();
        using var listener = new MeterListener
        {
            InstrumentPublished = (instrument, own) =>
            {
                if (instrument.Meter.Name == ShardingTelemetry.Name)
                {
                    own.EnableMeasurementEvents(instrument);
                }
            },
        };
        void Add(string name, double value, ReadOnlySpan<KeyValuePair<string, object?>> tags) =>
            sums.AddOrUpdate(tags is [var tag] ? $"{name} {tag.Key}={tag.Value}" : name, value, (_, sum) => sum + value);
        listener.SetMeasurementEventCallback<long>((instrument, value, tags, _) => Add(instrument.Name, value, tags));
        listener.SetMeasurementEventCallback<double>((instrument, _, tags, _) => Add(instrument.Name, 1, tags));
        listener.Start();
        var storage = await StorageContainers.CreateAsync(azurite);
        var content = await Checkpoints.SafetensorsAsync(0, new("small", TensorDType.U8, [100]), new("large", TensorDType.U8, [ShardingOptions.CopiedBytes]));
        foreach (var path in (string[])["model.safetensors", "again.safetensors"])
        {
            await storage.NewPipeline().UploadedAsync((await storage.UploadAsync(path, content)).Event, Token);
        }

        await storage.NewPipeline().UploadedAsync((await storage.UploadAsync(CorpusFile.Get("html.bin"))).Event, Token);

        Dictionary<string, double> least = new()
        {
            ["cloudshards.jobs outcome=committed"] = 2,
            ["cloudshards.jobs outcome=failed"] = 1,
            ["cloudshards.shards outcome=written"] = 2,
            ["cloudshards.shards outcome=found"] = 2,
            ["cloudshards.shards.bytes outcome=written"] = ShardingOptions.CopiedBytes + 100,
            ["cloudshards.shards.bytes outcome=found"] = ShardingOptions.CopiedBytes + 100,
            ["cloudshards.copied.bytes"] = ShardingOptions.CopiedBytes,
            ["cloudshards.batch.duration"] = 2,
        };
        Assert.All(least, pair => Assert.True(sums.GetValueOrDefault(pair.Key) >= pair.Value, $"{pair.Key} is {sums.GetValueOrDefault(pair.Key)}, expected {pair.Value}"));
    }
}
