using CloudShards.Benchmarks.Contenders;
using CloudShards.Benchmarks.Servers;
using CloudShards.Sharding;
using CloudShards.Testing;

namespace CloudShards.Benchmarks;

/// <summary>
/// Contenders that do the same job. Each run has a process of its own, so that its peak memory is its own; they take turns, so that a slow
/// minute of the machine meets all.
/// </summary>
/// <param name="Name">The command's name.</param>
/// <param name="Description">What is measured.</param>
/// <param name="Heats">Who does it. Of each heat the first is the limit that the others are compared with.</param>
internal sealed record Contest(string Name, string Description, params IReadOnlyList<IReadOnlyList<IContender>> Heats)
{
    // Enough for every request that may run at once to have had its buffer, which is memory to be touched, too.
    private const long ReaderWarmUpBytes = 128 << 20;
    private const int MaxReaderWarmUpTensors = 2048;

    // Emulators are slow writers.
    private const long WriterWarmUpBytes = 24 << 20;
    private const int MaxWriterWarmUpTensors = 500;

    /// <summary>Whether the contenders only read, and so can do it from a static server.</summary>
    public bool IsReading { get; init; } = true;

    /// <summary>Whether a contender runs on a small checkpoint first, until its code is compiled for good.</summary>
    public bool IsWarm { get; init; } = true;

    /// <summary>How long each request of a contender waits on its way, beside what the server takes.</summary>
    public TimeSpan Latency { get; init; }

    /// <summary>How the checkpoint that the contenders find is sharded: with packs, or also without; not at all where there is none.</summary>
    public IReadOnlyList<ShardingOptions> Shardings { get; init; } = [new()];

    /// <summary>Makes the checkpoint, of so many bytes in so many tensors.</summary>
    public Func<long, int, SyntheticCheckpoint> Model { get; init; } = SyntheticModel.Create;

    /// <summary>The checkpoint's size, unless somebody says otherwise; null where the tensors alone say it.</summary>
    public int? Mebibytes { get; init; } = 1024;

    /// <summary>The number of its tensors, unless somebody says otherwise.</summary>
    public int Tensors { get; init; } = 200;

    /// <summary>All contenders.</summary>
    public IReadOnlyList<IContender> Contenders => [.. Heats.SelectMany(heat => heat)];

    /// <summary>Runs all contenders <paramref name="rounds"/> times and prints the medians.</summary>
    public async Task RunAsync(SyntheticCheckpoint model, int rounds, bool isStatic, TextWriter output, CancellationToken cancellationToken)
    {
        var progress = new Progress<string>(output.WriteLine);
        await using IStorageServer server = isStatic
            ? await StaticServer.StartAsync(model.TensorBytes * (1 + Shardings.Count), model.TensorBytes, cancellationToken)
            : await EmulatorServer.StartAsync(progress, cancellationToken);
        await output.WriteLineAsync(Description);
        await output.WriteLineAsync(
            $"{model.TensorBytes >> 20:N0} MiB in {model.Tensors.Length:N0} tensors, {rounds} rounds, {Environment.ProcessorCount} processors, {server.Description}");
        await output.WriteLineAsync(ResultTable.Premise);
        var warm = await Arena.CreateAsync(server, "warm", WarmUpOf(model), Shardings, cancellationToken);
        var arena = await Arena.CreateAsync(server, "model", model, Shardings, cancellationToken);
        await server.WarmAsync(cancellationToken);
        var contenders = Contenders;
        var runs = contenders.Select(_ => new List<Measurement>()).ToList();
        if (!IsReading && contenders.Count > 1)
        {
            // None may be compared with the first that the server meets: an emulator that has not worked yet is faster than it is ever again.
            await RunAsync(0, arena, warm, cancellationToken);
        }

        for (var round = 0; round < rounds; round++)
        {
            for (var contender = 0; contender < contenders.Count; contender++)
            {
                runs[contender].Add(await RunAsync(contender, arena, warm, cancellationToken));
            }
        }

        var table = new ResultTable(IsReading);
        await output.WriteLineAsync(table.Header);
        var results = contenders.Zip(runs, (contender, measured) => (contender, (IReadOnlyList<Measurement>)measured)).ToList();
        foreach (var heat in Heats)
        {
            foreach (var line in table.Lines(results[..heat.Count]))
            {
                await output.WriteLineAsync(line);
            }

            results.RemoveRange(0, heat.Count);
        }

        await output.WriteLineAsync(ResultTable.Legend);
    }

    /// <summary>Runs one contender once, on a server of its own, and so as the first that this meets.</summary>
    public async Task<Measurement> RunAloneAsync(int contender, SyntheticCheckpoint model, IProgress<string> progress, CancellationToken cancellationToken)
    {
        await using var server = await EmulatorServer.StartAsync(progress, cancellationToken);
        var warm = await Arena.CreateAsync(server, "warm", WarmUpOf(model), Shardings, cancellationToken);
        var arena = await Arena.CreateAsync(server, "model", model, Shardings, cancellationToken);
        return await RunAsync(contender, arena, warm, cancellationToken);
    }

    private SyntheticCheckpoint WarmUpOf(SyntheticCheckpoint model) => IsReading
        ? Model(ReaderWarmUpBytes, Math.Min(model.Tensors.Length, MaxReaderWarmUpTensors))
        : Model(WriterWarmUpBytes, Math.Min(model.Tensors.Length, MaxWriterWarmUpTensors));

    private async Task<Measurement> RunAsync(int contender, Arena arena, Arena warm, CancellationToken cancellationToken)
    {
        var target = $"target-{Guid.NewGuid():N}";
        var scratch = Path.Combine(Path.GetTempPath(), $"cloudshards-{target}");
        try
        {
            return await ContenderProcess.StartAsync(this, contender, arena with
            {
                Target = target,
                Scratch = scratch,
                WarmUp = warm with { Target = $"{target}-w", Scratch = Path.Combine(scratch, "warm") },
            }, cancellationToken);
        }
        finally
        {
            if (Directory.Exists(scratch))
            {
                Directory.Delete(scratch, recursive: true);
            }

            if (!IsReading)
            {
                using var traffic = new Traffic();
                await arena.Container(target, traffic).DeleteIfExistsAsync(cancellationToken: CancellationToken.None);
            }
        }
    }
}
