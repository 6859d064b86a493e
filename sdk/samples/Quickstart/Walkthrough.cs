using System.Diagnostics;
using Azure;
using Azure.Storage.Blobs;
using CloudShards;
using CloudShards.Formats;
using CloudShards.LocalHost;
using CloudShards.Sharding;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using static TorchSharp.torch;

namespace Quickstart;

/// <summary>The whole way of a checkpoint on one machine: upload, sharding by the trigger, loading by the SDK.</summary>
internal static class Walkthrough
{
    private static readonly TimeSpan StatusInterval = TimeSpan.FromMilliseconds(100);
    private static readonly TimeSpan ProgressInterval = TimeSpan.FromSeconds(2);

    /// <summary>Uploads the digit classifier's training checkpoint, loads the model from its shards and classifies the held-out images.</summary>
    public static Task DigitsAsync(CancellationToken cancellationToken) => WithHostAsync(
        async (azurite, host) =>
        {
            var reference = await ShardAsync(host, Path.Combine(AppContext.BaseDirectory, "digits.pt"), cancellationToken);
            var counter = new RequestCounter();
            await using var checkpoint = await ShardedCheckpoint.OpenAsync(Shards(azurite, counter), reference, cancellationToken: cancellationToken);
            Console.WriteLine($"opened {checkpoint.Reference}: {Cost(counter.Take())}");
            List(checkpoint);
            await ReadOneTensorAsync(checkpoint, counter, cancellationToken);

            using var model = new DigitClassifier();
            await model.LoadShardsAsync(checkpoint, new() { Prefix = "model." }, cancellationToken: cancellationToken);
            Console.WriteLine($"loaded the {model.state_dict().Count} tensors of the model: {Cost(counter.Take())}");
            var verdict = Classify(model);
            Console.WriteLine($"peak memory of this process, TorchSharp and the local host included: {PeakMegabytes():N0} MiB");
            return verdict;
        },
        cancellationToken);

    /// <summary>Uploads a file and lists the checkpoint that it becomes.</summary>
    public static Task FileAsync(string file, CancellationToken cancellationToken) => WithHostAsync(
        async (azurite, host) =>
        {
            var reference = await ShardAsync(host, file, cancellationToken);
            await using var checkpoint = await ShardedCheckpoint.OpenAsync(Shards(azurite, new()), reference, cancellationToken: cancellationToken);
            List(checkpoint);
            return $"{checkpoint.Reference}: {checkpoint.Tensors.Length:N0} tensors, {checkpoint.Tensors.Sum(tensor => tensor.Bytes):N0} bytes";
        },
        cancellationToken);

    // The host is stopped before it is disposed of, and both before Azurite ends: what it works on would fail under it otherwise.
    private static async Task WithHostAsync(Func<AzuriteServer, IHost, Task<string>> walk, CancellationToken cancellationToken)
    {
        string lastLine;
        await using (var azurite = await AzuriteServer.StartAsync(new() { Progress = new Progress<string>(Console.WriteLine) }, cancellationToken))
        {
            using var host = NewHost(azurite);
            try
            {
                await host.Services.GetRequiredService<LocalStorage>().CreateAsync(cancellationToken);
                await host.StartAsync(cancellationToken);
                Console.WriteLine($"started Azurite at {azurite.BlobEndpoint} and the local trigger host");
                lastLine = await walk(azurite, host);
            }
            finally
            {
                await host.StopAsync(CancellationToken.None);
            }
        }

        Console.WriteLine(lastLine);
    }

    private static IHost NewHost(AzuriteServer azurite)
    {
        var builder = Host.CreateEmptyApplicationBuilder(null);
        builder.Logging.AddSimpleConsole(console => console.SingleLine = true).SetMinimumLevel(LogLevel.Warning);
        builder.Services.AddLocalSharding(new() { ConnectionString = azurite.ConnectionString, PollInterval = TimeSpan.FromMilliseconds(100) });
        return builder.Build();
    }

    // Any client may upload: az, AzCopy, a training job. The upload alone triggers the sharding.
    private static async Task<string> ShardAsync(IHost host, string file, CancellationToken cancellationToken)
    {
        var (storage, pipeline) = (host.Services.GetRequiredService<LocalStorage>(), host.Services.GetRequiredService<CheckpointPipeline>());
        var (name, watch) = (Path.GetFileName(file), Stopwatch.StartNew());
        Console.WriteLine($"uploading {name}, {new FileInfo(file).Length:N0} bytes");
        var upload = await storage.Uploads.GetBlobClient(name).UploadAsync(file, overwrite: true, cancellationToken);
        Console.WriteLine("uploaded; waiting for the trigger to shard it");
        var status = await WaitAsync(pipeline, name, upload.Value.ETag, cancellationToken);
        if (status.State == JobState.Waiting)
        {
            var missing = string.Join(", ", (status.WaitsFor ?? []).Select(path => $"`{path}`"));
            throw new InvalidOperationException(
                $"{name} is a part of a set, which is sharded once all of it is there; it waits for {missing}. This program uploads one file. "
                + "Start `dotnet run --project functions/CloudShards.LocalHost` and upload the whole set to it.");
        }

        if (status.State != JobState.Committed)
        {
            throw new InvalidOperationException($"{name} was not sharded: {status.Error?.Message ?? "it was overwritten meanwhile."}");
        }

        Console.WriteLine($"sharded into {status.Shards.Done:N0} shards, {status.Bytes.Done:N0} bytes, {watch.Elapsed.TotalSeconds:N1} s after the upload began");
        return status.Reference!;
    }

    // A file of an incomplete set waits for others, which nobody uploads here.
    private static async Task<JobStatus> WaitAsync(CheckpointPipeline pipeline, string path, ETag etag, CancellationToken cancellationToken)
    {
        using var timer = new PeriodicTimer(StatusInterval);
        var (told, toldAt) = (default(JobProgress), Stopwatch.GetTimestamp());
        while (await timer.WaitForNextTickAsync(cancellationToken))
        {
            switch (await pipeline.TryGetStatusAsync(path, etag, cancellationToken))
            {
                case { } status when status.IsFinal || status.State == JobState.Waiting:
                    return status;
                case { Bytes: var bytes, Shards: var shards } when bytes != told && Stopwatch.GetElapsedTime(toldAt) >= ProgressInterval:
                    Console.WriteLine($"  {shards.Done:N0} of {shards.Total:N0} shards, {bytes.Done:N0} of {bytes.Total:N0} bytes");
                    (told, toldAt) = (bytes, Stopwatch.GetTimestamp());
                    break;
            }
        }

        throw new UnreachableException();
    }

    private static void List(ShardedCheckpoint checkpoint)
    {
        var (names, shapes) = (checkpoint.Tensors.Max(tensor => tensor.Name.Length), checkpoint.Tensors.Max(tensor => $"{tensor.Shape}".Length));
        foreach (var tensor in checkpoint.Tensors)
        {
            Console.WriteLine($"  {tensor.Name.PadRight(names)}  {tensor.DType.Name(),-4}  {tensor.Shape.ToString().PadRight(shapes)}  {tensor.Bytes,10:N0} bytes");
        }
    }

    private static BlobContainerClient Shards(AzuriteServer azurite, RequestCounter counter)
    {
        var options = new BlobClientOptions();
        options.AddPolicy(counter, Azure.Core.HttpPipelinePosition.PerRetry);
        return new(azurite.ConnectionString, StorageNames.Shards, options);
    }

    private static async Task ReadOneTensorAsync(ShardedCheckpoint checkpoint, RequestCounter counter, CancellationToken cancellationToken)
    {
        var tensor = checkpoint["model.features.3.weight"];
        var memory = new byte[tensor.Bytes];
        await checkpoint.ReadAsync(tensor.Name, memory, cancellationToken);
        var whole = checkpoint.Plan(checkpoint.Tensors.Select(each => TensorSlice.Of(each, [])));
        Console.WriteLine($"read one tensor, {tensor.Name}: {Cost(counter.Take())}");
        Console.WriteLine($"all {checkpoint.Tensors.Length} tensors would cost: {Cost((whole.Requests, whole.Bytes))}");
    }

    private static string Classify(DigitClassifier model)
    {
        using var digits = HeldOutDigits.Read(Path.Combine(AppContext.BaseDirectory, "digits-heldout.csv"));
        using var scope = NewDisposeScope();
        using var frozen = no_grad();
        model.eval();
        var logits = model.forward(digits.Images);
        var right = logits.argmax(1).eq(digits.Labels).sum().item<long>();
        var difference = (logits - digits.Logits).abs().max().item<float>();
        var count = digits.Labels.shape[0];
        return right == count && difference < 1e-3
            ? $"quickstart: {right}/{count} digits right, largest logit difference {difference:0.0e+0}"
            : throw new InvalidOperationException(
                $"the loaded model is not the saved one: {right}/{count} digits right, largest logit difference {difference}; expected all and below 1e-3.");
    }

    private static string Cost((long Requests, long Bytes) cost) => $"{cost.Requests:N0} {(cost.Requests == 1 ? "request" : "requests")}, {cost.Bytes:N0} bytes";

    private static long PeakMegabytes()
    {
        using var self = Process.GetCurrentProcess();
        return self.PeakWorkingSet64 >> 20;
    }
}
