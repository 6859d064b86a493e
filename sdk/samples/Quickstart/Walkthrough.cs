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

    /// <summary>Uploads the digit classifier's training checkpoint, loads the model from its shards and classifies the held-out images.</summary>
    public static async Task DigitsAsync(CancellationToken cancellationToken)
    {
        await using var azurite = await AzuriteServer.StartAsync(new() { Progress = new Progress<string>(Console.WriteLine) }, cancellationToken);
        using var host = await StartHostAsync(azurite, cancellationToken);
        var file = Path.Combine(AppContext.BaseDirectory, "digits.pt");
        var reference = await ShardAsync(host, file, cancellationToken);

        var counter = new RequestCounter();
        await using var checkpoint = await ShardedCheckpoint.OpenAsync(Shards(azurite, counter), reference, cancellationToken: cancellationToken);
        Console.WriteLine($"opened {checkpoint.Reference}: {Cost(counter.Take())}");
        await ReadOneTensorAsync(checkpoint, counter, new FileInfo(file).Length, cancellationToken);

        using var model = new DigitClassifier();
        await model.LoadShardsAsync(checkpoint, new() { Prefix = "model." }, cancellationToken: cancellationToken);
        Console.WriteLine($"loaded the {model.state_dict().Count} tensors of the model: {Cost(counter.Take())}");
        var verdict = Classify(model);
        Console.WriteLine($"peak memory of this process, TorchSharp and the local host included: {PeakMegabytes():N0} MiB");
        await host.StopAsync(cancellationToken);
        Console.WriteLine(verdict);
    }

    /// <summary>Uploads a file and lists the checkpoint that it becomes.</summary>
    public static async Task FileAsync(string file, CancellationToken cancellationToken)
    {
        await using var azurite = await AzuriteServer.StartAsync(new() { Progress = new Progress<string>(Console.WriteLine) }, cancellationToken);
        using var host = await StartHostAsync(azurite, cancellationToken);
        var reference = await ShardAsync(host, file, cancellationToken);
        var counter = new RequestCounter();
        await using var checkpoint = await ShardedCheckpoint.OpenAsync(Shards(azurite, counter), reference, cancellationToken: cancellationToken);
        foreach (var tensor in checkpoint.Tensors)
        {
            Console.WriteLine($"  {tensor.Name,-48} {tensor.DType.Name(),-8} {tensor.Shape,-20} {tensor.Bytes,14:N0} bytes");
        }

        Console.WriteLine($"{checkpoint.Reference}: {checkpoint.Tensors.Length:N0} tensors, {checkpoint.Tensors.Sum(tensor => tensor.Bytes):N0} bytes");
        await host.StopAsync(cancellationToken);
    }

    private static async Task<IHost> StartHostAsync(AzuriteServer azurite, CancellationToken cancellationToken)
    {
        var builder = Host.CreateEmptyApplicationBuilder(null);
        builder.Logging.AddSimpleConsole(console => console.SingleLine = true).SetMinimumLevel(LogLevel.Warning);
        builder.Services.AddLocalSharding(new() { ConnectionString = azurite.ConnectionString, PollInterval = TimeSpan.FromMilliseconds(100) });
        var host = builder.Build();
        await host.Services.GetRequiredService<LocalStorage>().CreateAsync(cancellationToken);
        await host.StartAsync(cancellationToken);
        Console.WriteLine($"started Azurite at {azurite.BlobEndpoint} and the local trigger host");
        return host;
    }

    // Any client may upload: az, AzCopy, a training job. The upload alone triggers the sharding.
    private static async Task<string> ShardAsync(IHost host, string file, CancellationToken cancellationToken)
    {
        var (storage, pipeline) = (host.Services.GetRequiredService<LocalStorage>(), host.Services.GetRequiredService<CheckpointPipeline>());
        var (name, watch) = (Path.GetFileName(file), Stopwatch.StartNew());
        var upload = await storage.Uploads.GetBlobClient(name).UploadAsync(file, overwrite: true, cancellationToken);
        Console.WriteLine($"uploaded {name}, {new FileInfo(file).Length:N0} bytes; waiting for the trigger to shard it");
        var status = await WaitAsync(pipeline, name, upload.Value.ETag, cancellationToken);
        if (status.State != JobState.Committed)
        {
            throw new InvalidOperationException($"{name} is {status.State}: {status.Error?.Message}");
        }

        Console.WriteLine($"sharded into {status.Shards.Done:N0} shards, {status.Bytes.Done:N0} bytes, {watch.Elapsed.TotalSeconds:N1} s after the upload began");
        return status.Reference!;
    }

    private static async Task<JobStatus> WaitAsync(CheckpointPipeline pipeline, string path, ETag etag, CancellationToken cancellationToken)
    {
        using var timer = new PeriodicTimer(StatusInterval);
        while (await timer.WaitForNextTickAsync(cancellationToken))
        {
            if (await pipeline.TryGetStatusAsync(path, etag, cancellationToken) is { IsFinal: true } status)
            {
                return status;
            }
        }

        throw new UnreachableException();
    }

    private static BlobContainerClient Shards(AzuriteServer azurite, RequestCounter counter)
    {
        var options = new BlobClientOptions();
        options.AddPolicy(counter, Azure.Core.HttpPipelinePosition.PerRetry);
        return new(azurite.ConnectionString, StorageNames.Shards, options);
    }

    private static async Task ReadOneTensorAsync(
        ShardedCheckpoint checkpoint, RequestCounter counter, long fileBytes, CancellationToken cancellationToken)
    {
        var tensor = checkpoint["model.features.3.weight"];
        var memory = new byte[tensor.Bytes];
        await checkpoint.ReadAsync(tensor.Name, memory, cancellationToken);
        Console.WriteLine($"one of {checkpoint.Tensors.Length} tensors, {tensor.Name} {tensor.DType.Name()} {tensor.Shape}: {Cost(counter.Take())}; the checkpoint is one file of {fileBytes:N0} bytes");
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

    private static string Cost((int Requests, long Bytes) cost) => $"{cost.Requests} {(cost.Requests == 1 ? "request" : "requests")}, {cost.Bytes:N0} bytes";

    private static long PeakMegabytes()
    {
        using var self = Process.GetCurrentProcess();
        return self.PeakWorkingSet64 >> 20;
    }
}
