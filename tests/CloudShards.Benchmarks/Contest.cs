using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using CloudShards.Benchmarks.Contenders;
using CloudShards.LocalHost;
using CloudShards.Testing;

namespace CloudShards.Benchmarks;

/// <summary>
/// Contenders that do the same job. The first is the limit that the others are compared with. Each run has a process of its own, so that
/// its peak memory is its own; they take turns, so that a slow minute of the machine meets all.
/// </summary>
/// <param name="Name">The command's name.</param>
/// <param name="Description">What is measured.</param>
/// <param name="Contenders">Who does it.</param>
internal sealed record Contest(string Name, string Description, IReadOnlyList<IContender> Contenders)
{
    /// <summary>Whether the contenders find the checkpoint sharded.</summary>
    public bool IsSharded { get; init; } = true;

    private const long WarmUpBytes = 24 << 20;
    private const int MaxWarmUpTensors = 500;

    public static IReadOnlyList<Contest> All { get; } =
    [
        new("shard", "Sharding an uploaded file, beside a bare loop that reads, hashes and writes.", [new BareSharding(), new PipelineSharding(), new RepeatedSharding()]),
        new("large", "Sharding by the service's own copies of large shards and without.", [new BareSharding(), new PipelineSharding(), new CopiedSharding()]) { IsSharded = false },
        new("many", "Sharding into a folder, where many small files are no matter of an emulator.", [new FolderSharding()]) { IsSharded = false },
        new("load", "Loading the whole model, beside the same bytes by plain HTTP.", [new PlainLoad(), new SdkLoad(), new ModuleLoad(), new FileLoad()]),
        new("one", "One tensor of the model, beside its bytes by plain HTTP.", [new PlainTensor(), new SdkTensor(), new FileTensor()]),
    ];

    /// <summary>Runs all contenders <paramref name="rounds"/> times and prints the medians.</summary>
    public async Task RunAsync(SyntheticCheckpoint model, int rounds, TextWriter output, CancellationToken cancellationToken)
    {
        await using var server = await AzuriteServer.StartAsync(new() { Progress = new Progress<string>(output.WriteLine) }, cancellationToken);
        await output.WriteLineAsync($"{Description}\n{model.TensorBytes / 1048576.0:N0} MiB in {model.Tensors.Length:N0} tensors, {rounds} rounds, {Environment.ProcessorCount} processors");
        await Arena.CreateAsync(server, "warm", SyntheticModel.Create(WarmUpBytes, Math.Min(model.Tensors.Length, MaxWarmUpTensors)), IsSharded, cancellationToken);
        var arena = await Arena.CreateAsync(server, "model", model, IsSharded, cancellationToken);
        var runs = Contenders.ToDictionary(contender => contender, _ => new List<Measurement>());
        for (var round = 0; round < rounds; round++)
        {
            foreach (var contender in Contenders)
            {
                var target = $"target-{Guid.NewGuid():N}";
                runs[contender].Add(await StartAsync(contender, arena with { Target = target }, cancellationToken));
                using var traffic = new Traffic();
                await arena.Container(target, traffic).DeleteIfExistsAsync(cancellationToken: cancellationToken);
            }
        }

        await output.WriteLineAsync($"{"",-44} {"s",8} {"of limit",9} {"spread",11} {"MB/s",8} {"peak MiB",9} {"requests",9} {"MB down",9} {"MB up",9}");
        var limit = Median(runs[Contenders[0]]);
        foreach (var (contender, measured) in runs)
        {
            await output.WriteLineAsync(Line(contender.Name, Median(measured), limit, measured));
        }
    }

    /// <summary>Runs one contender, warm, and prints its measurement.</summary>
    public static async Task RunOneAsync(string name, string arena, TextWriter output, CancellationToken cancellationToken)
    {
        var contender = All.SelectMany(contest => contest.Contenders).First(contender => contender.Name == name);
        using var traffic = new Traffic();
        var real = Arena.Parse(arena);
        var warm = real with { File = "warm.safetensors", Reference = "warm", Target = $"{real.Target}-w" };
        await (await contender.PrepareAsync(warm, traffic, cancellationToken))(cancellationToken);

        var run = await contender.PrepareAsync(real, traffic, cancellationToken);
        GC.Collect();
        var (before, clock) = (traffic.Count, Stopwatch.GetTimestamp());
        await run(cancellationToken);
        var (seconds, after) = (Stopwatch.GetElapsedTime(clock).TotalSeconds, traffic.Count);
        using var process = Process.GetCurrentProcess();
        var measured = new Measurement(
            seconds, process.PeakWorkingSet64, after.Requests - before.Requests, after.Received - before.Received, after.Sent - before.Sent);
        await output.WriteLineAsync(JsonSerializer.Serialize(measured, BenchmarkJson.Default.Measurement));
    }

    private static async Task<Measurement> StartAsync(IContender contender, Arena arena, CancellationToken cancellationToken)
    {
        var start = new ProcessStartInfo(Environment.ProcessPath!, ["run", contender.Name, arena.ToJson()]) { RedirectStandardOutput = true };
        using var process = Process.Start(start)!;
        var output = await process.StandardOutput.ReadToEndAsync(cancellationToken);
        await process.WaitForExitAsync(cancellationToken);
        return process.ExitCode == 0
            ? JsonSerializer.Deserialize(output, BenchmarkJson.Default.Measurement)!
            : throw new InvalidOperationException($"`{contender.Name}` ended with {process.ExitCode}. What it wrote to standard error says why.");
    }

    private static Measurement Median(List<Measurement> runs) => runs.OrderBy(run => run.Seconds).ElementAt(runs.Count / 2);

    private static string Line(string name, Measurement median, Measurement limit, List<Measurement> runs) => string.Create(
        CultureInfo.InvariantCulture,
        $"{name,-44} {median.Seconds,8:N3} {limit.Seconds / median.Seconds,9:N2} {runs.Min(run => run.Seconds),5:N2}-{runs.Max(run => run.Seconds),-5:N2} {median.Received / median.Seconds / 1e6,8:N0} {runs.Max(run => run.PeakBytes) / 1048576.0,9:N0} {median.Requests,9:N0} {median.Received / 1e6,9:N1} {median.Sent / 1e6,9:N1}");
}
