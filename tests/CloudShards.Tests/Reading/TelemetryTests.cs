using System.Collections.Concurrent;
using System.Diagnostics;
using System.Diagnostics.Metrics;
using CloudShards.Formats;

namespace CloudShards.Tests;

public sealed class TelemetryTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();
    private readonly string _name = $"net-{Guid.NewGuid():N}";
    private readonly LogLines _log = new();

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public void Dispose() => _folder.Dispose();

    [Fact]
    public async Task WhatIsReadIsMeasuredAndTraced()
    {
        var store = new RecordingStore(new DirectoryShardStore(_folder.Path));
        var writer = new CheckpointWriter(store, _name, new() { ChunkBytes = 100 });
        await writer.WriteTensorAsync("a", TensorDType.U8, [250], new byte[250], Token);
        await writer.PublishAsync(cancellationToken: Token);
        var sums = new ConcurrentDictionary<string, double>();
        using var listener = Listen(sums);
        var activities = new ConcurrentQueue<string>();
        using var traces = Trace(activities);
        var damage = 1;
        store.Read = (offset, content) => content[0] ^= (byte)(offset == 0 && damage-- > 0 ? 1 : 0);
        var options = new ShardedCheckpointOptions { MaxRequestBytes = 100, CacheFolder = Path.Combine(_folder.Path, "cache"), Logger = _log };

        for (var i = 0; i < 2; i++)
        {
            await using var checkpoint = await ShardedCheckpoint.OpenFromAsync(store, _name, options, Token);
            await checkpoint.ReadAsync("a", new byte[250], Token);
        }

        Assert.Equal(
            new SortedDictionary<string, double>(StringComparer.Ordinal)
            {
                ["cloudshards.cache.hits"] = 3,
                ["cloudshards.cache.misses"] = 3,
                ["cloudshards.chunks.corrupt"] = 1,
                ["cloudshards.queue.duration"] = 6,
                ["cloudshards.read.bytes cache"] = 250,
                ["cloudshards.read.bytes store"] = 350,
                ["cloudshards.requests"] = 4,
                ["cloudshards.retries corrupt"] = 1,
            },
            new SortedDictionary<string, double>(sums, StringComparer.Ordinal));
        Assert.Equal(["CloudShards.Open", "CloudShards.Read", "CloudShards.Open", "CloudShards.Read"], activities);
        Assert.Single(_log.Lines, line => line.Contains("arrived damaged", StringComparison.Ordinal));
    }

    [Fact]
    public async Task APartThatTheCacheLacksIsCountedAsMissing()
    {
        var store = new DirectoryShardStore(_folder.Path);
        var writer = new CheckpointWriter(store, _name);
        await writer.WriteTensorAsync("a", TensorDType.U8, [25, 10], new byte[250], Token);
        await writer.PublishAsync(cancellationToken: Token);
        var sums = new ConcurrentDictionary<string, double>();
        using var listener = Listen(sums);
        var options = new ShardedCheckpointOptions { CacheFolder = Path.Combine(_folder.Path, "cache") };
        await using var checkpoint = await ShardedCheckpoint.OpenFromAsync(store, _name, options, Token);

        await checkpoint.ReadSliceAsync("a", [Range.All, 2..5], new byte[75], Token);

        Assert.Equal(1, sums["cloudshards.cache.misses"]);
        Assert.Equal(1, sums["cloudshards.requests"]);
    }

    private MeterListener Listen(ConcurrentDictionary<string, double> sums)
    {
        var listener = new MeterListener
        {
            InstrumentPublished = (instrument, listener) =>
            {
                if (instrument.Meter.Name == "CloudShards")
                {
                    listener.EnableMeasurementEvents(instrument);
                }
            },
        };
        void Add(Instrument instrument, double value, ReadOnlySpan<KeyValuePair<string, object?>> tags)
        {
            if (tags[0] is { Key: "cloudshards.checkpoint", Value: string name } && name == _name)
            {
                sums.AddOrUpdate(tags.Length > 1 ? $"{instrument.Name} {tags[1].Value}" : instrument.Name, value, (_, sum) => sum + value);
            }
        }

        listener.SetMeasurementEventCallback<long>((instrument, value, tags, _) => Add(instrument, value, tags));
        listener.SetMeasurementEventCallback<double>((instrument, _, tags, _) => Add(instrument, 1, tags));
        listener.Start();
        return listener;
    }

    private ActivityListener Trace(ConcurrentQueue<string> activities)
    {
        var listener = new ActivityListener
        {
            ShouldListenTo = source => source.Name == "CloudShards",
            Sample = (ref ActivityCreationOptions<ActivityContext> _) => ActivitySamplingResult.AllData,
            ActivityStopped = activity =>
            {
                if (activity.GetTagItem("cloudshards.checkpoint") is string name && name == _name)
                {
                    activities.Enqueue(activity.OperationName);
                }
            },
        };
        ActivitySource.AddActivityListener(listener);
        return listener;
    }
}
