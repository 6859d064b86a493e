using System.Diagnostics;
using System.Text.Json;
using CloudShards.Benchmarks.Contenders;

namespace CloudShards.Benchmarks;

/// <summary>A process in which one contender runs once, so that peak memory and processor time are its own.</summary>
internal static class ContenderProcess
{
    private const int MaxWarmUps = 50;
    private const int WarmUpRests = 4;
    private static readonly TimeSpan WarmUpTime = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan RestTime = TimeSpan.FromMilliseconds(150);

    /// <summary>Runs a contender in a process of its own.</summary>
    public static async Task<Measurement> StartAsync(Contest contest, int contender, Arena arena, CancellationToken cancellationToken)
    {
        var start = new ProcessStartInfo(Environment.ProcessPath!, ["run", contest.Name, $"{contender}", arena.ToJson()]) { RedirectStandardOutput = true };
        using var process = Process.Start(start)!;
        try
        {
            var output = await process.StandardOutput.ReadToEndAsync(cancellationToken);
            await process.WaitForExitAsync(cancellationToken);
            return process.ExitCode == 0
                ? JsonSerializer.Deserialize(output, BenchmarkJson.Default.Measurement)!
                : throw new InvalidOperationException(
                    $"`{contest.Contenders[contender].Name}` ended with {process.ExitCode}. What it wrote to standard error says why.");
        }
        catch (OperationCanceledException)
        {
            process.Kill();
            throw;
        }
    }

    /// <summary>Runs a contender here and prints its measurement.</summary>
    public static async Task RunAsync(Contest contest, int contender, Arena arena, TextWriter output, CancellationToken cancellationToken)
    {
        var running = contest.Contenders[contender];
        using var traffic = new Traffic(contest.Latency);
        if (contest.IsWarm)
        {
            await WarmUpAsync(running, arena.WarmUp!, contest.IsReading ? WarmUpTime : TimeSpan.Zero, traffic, cancellationToken);
        }

        NativeBytes.FreeAll();
        GC.Collect();
        GC.WaitForPendingFinalizers();
        var job = await running.PrepareAsync(arena, traffic, cancellationToken);
        GC.Collect();
        ForgetPeak();
        using var process = Process.GetCurrentProcess();
        var (prepared, cpu) = (process.WorkingSet64, process.TotalProcessorTime);
        var (before, clock) = (traffic.Count, Stopwatch.GetTimestamp());
        await job.RunAsync(cancellationToken);
        var (seconds, after) = (Stopwatch.GetElapsedTime(clock).TotalSeconds, traffic.Count);
        process.Refresh();
        var measured = new Measurement(
            seconds,
            (process.TotalProcessorTime - cpu).TotalSeconds,
            job.WantedBytes,
            prepared,
            process.PeakWorkingSet64,
            after.Requests - before.Requests,
            after.Received - before.Received,
            after.Sent - before.Sent,
            job.WantedBytes > 0 ? job.WantedBytes * job.Times : after.Received - before.Received,
            job.Note);
        await output.WriteLineAsync(JsonSerializer.Serialize(measured, BenchmarkJson.Default.Measurement));
    }

    // Linux then counts the largest resident set anew (proc(5), clear_refs); elsewhere that of the warm-up may stay the largest.
    private static void ForgetPeak()
    {
        if (OperatingSystem.IsLinux())
        {
            File.WriteAllText("/proc/self/clear_refs", "5");
        }
    }

    // What reads may be repeated until its code is compiled for good; what writes is done then. The runtime does that only after a tenth of a second in
    // which no code was compiled for the first time: hence the rests.
    private static async Task WarmUpAsync(IContender contender, Arena arena, TimeSpan time, Traffic traffic, CancellationToken cancellationToken)
    {
        var job = await contender.PrepareAsync(arena, traffic, cancellationToken);
        for (var rest = 0; rest < WarmUpRests; rest++)
        {
            var clock = Stopwatch.GetTimestamp();
            for (var run = 0; run == 0 || (run < MaxWarmUps && Stopwatch.GetElapsedTime(clock) < time / WarmUpRests); run++)
            {
                await job.RunAsync(cancellationToken);
            }

            if (time == TimeSpan.Zero)
            {
                return;
            }

            await Task.Delay(RestTime, cancellationToken);
        }
    }
}
