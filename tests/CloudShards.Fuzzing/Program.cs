using System.Collections.Concurrent;
using System.Diagnostics;
using System.Globalization;
using CloudShards.Fuzzing;

if (args is ["--help" or "-h", ..] || args.Length % 2 != 0)
{
    Console.WriteLine("""
        Feeds made-up files to the parsers.

          dotnet run -c Release --project tests/CloudShards.Fuzzing -- [--cases N] [--seed N] [--from N] [--cores N]

        --cases   how many, 1,000,000 by default       --seed    another run, 1 by default
        --from    the first case's number, 0 by default --cores   how many to use, all by default

        A failing case is written to the working folder as fuzz-SEED-NUMBER.bin, and the exit code is 1.
        """);
    return args is ["--help" or "-h", ..] ? 0 : 1;
}

var options = args.Chunk(2).ToDictionary(pair => pair[0], pair => long.Parse(pair[1], CultureInfo.InvariantCulture));
var (cases, seed, from) = (options.GetValueOrDefault("--cases", 1_000_000), options.GetValueOrDefault("--seed", 1), options.GetValueOrDefault("--from", 0));
var (fuzzer, watch, done, failures) = (new Fuzzer((ulong)seed), Stopwatch.StartNew(), 0L, 0);
var outcomes = new ConcurrentDictionary<(string Kind, string Outcome), long>();
var parallel = new ParallelOptions { MaxDegreeOfParallelism = (int)options.GetValueOrDefault("--cores", Environment.ProcessorCount) };
Parallel.For(from, from + cases, parallel, number =>
{
    var outcome = fuzzer.Run(number);
    outcomes.AddOrUpdate((outcome.Kind, outcome.Refusal?.ToString() ?? "described"), 1, (_, count) => count + 1);
    if (outcome.Problem is not null)
    {
        Interlocked.Increment(ref failures);
        var file = $"fuzz-{seed}-{number}.bin";
        File.WriteAllBytes(file, outcome.File);
        Console.WriteLine($"case {number} ({outcome.Kind}, {outcome.File.Length:N0} bytes, kept as {file}): {outcome.Problem}");
    }

    if (Interlocked.Increment(ref done) % 500_000 == 0)
    {
        Console.WriteLine($"{done:N0} cases, {failures} failures, {done / watch.Elapsed.TotalSeconds:N0} a second");
    }
});
foreach (var ((kind, outcome), count) in outcomes.OrderBy(entry => entry.Key.Kind, StringComparer.Ordinal).ThenByDescending(entry => entry.Value))
{
    Console.WriteLine($"{kind,-22} {outcome,-15} {count,12:N0}");
}

Console.WriteLine($"{cases:N0} cases of seed {seed} from {from}, {failures} failures, {watch.Elapsed.TotalSeconds:N0} s");
return failures == 0 ? 0 : 1;
