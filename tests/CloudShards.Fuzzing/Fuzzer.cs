using System.Diagnostics.CodeAnalysis;
using CloudShards.Formats;

namespace CloudShards.Fuzzing;

/// <summary>
/// Feeds made-up files to the parsers. A case is known by seed and number, and can be made again alone. Two outcomes are allowed: a
/// description in which every tensor lies within the file and is gathered right, or a <see cref="CheckpointFormatException"/>; each within a second of its thread's work and
/// within a bound on what is allocated. A file that names one thing over and over may cost no more than in proportion to its size.
/// </summary>
public sealed class Fuzzer(ulong seed)
{
    private static readonly TimeSpan MaxTime = TimeSpan.FromSeconds(1);

    // A name of n characters may be copied a few times, a pickle's byte may become a node of 100 bytes, and there is a floor for tables.
    private const long AllocationFloor = 4 << 20;
    private const int AllocationFactor = 512;

    // CheckpointLimits.MaxExpansion lets a byte that names a shared list be listed as 16 values, each with a name.
    private const int AmplifierFactor = 2048;

    // An amplifier is run at two sizes. Eight times the size may take eight times the work and a half more, or in time, which is noisy, three times that.
    private const int Small = 500;
    private const int Large = 8 * Small;
    private const int MaxGrowth = 12;
    private const int MaxTimeGrowth = 24;
    private static readonly TimeSpan NoTime = TimeSpan.FromMilliseconds(4);

    private readonly FuzzInputs _inputs = new();

    /// <summary>The file of a case.</summary>
    public (string Kind, byte[] File) Make(long number) => Make(number, Large);

    /// <summary>Runs a case. One that took too long, maybe because code was compiled or memory collected meanwhile, has two more chances.</summary>
    public FuzzOutcome Run(long number)
    {
        var outcome = RunTwice(number);
        for (var again = 0; again < 2 && outcome.Problem is not null; again++)
        {
            outcome = RunTwice(number);
        }

        return outcome;
    }

    private FuzzOutcome RunTwice(long number)
    {
        var (outcome, allocated) = RunOnce(number, Large);
        if (outcome.Problem is not null || outcome.Kind != FuzzInputs.Amplifier)
        {
            return outcome;
        }

        var (small, smallAllocated) = RunOnce(number, Small);
        return small.Problem is not null ? small
            : allocated > AllocationFloor + (MaxGrowth * smallAllocated)
            ? outcome with { Problem = $"it allocated {allocated:N0} bytes, and {smallAllocated:N0} at an eighth of the size" }
            : outcome.Elapsed > MaxTimeGrowth * (small.Elapsed + NoTime)
            ? outcome with { Problem = $"it took {outcome.Elapsed.TotalMilliseconds:N0} ms, and {small.Elapsed.TotalMilliseconds:N0} at an eighth of the size" }
            : outcome;
    }

    [SuppressMessage("Design", "CA1031", Justification = "Whatever escapes a parser is what is looked for.")]
    private (FuzzOutcome Outcome, long Allocated) RunOnce(long number, int scale)
    {
        var (kind, file) = Make(number, scale);
        var (start, before) = (ThreadClock.Now, GC.GetAllocatedBytesForCurrentThread());
        var (problem, refusal, described) = ((string?)null, (CheckpointError?)null, (CheckpointDescription?)null);
        try
        {
            switch (kind)
            {
                case FuzzInputs.Manifest:
                    problem = ParseManifest(file);
                    break;
                case FuzzInputs.Index:
                    problem = HuggingFaceIndex.Parse(file).Files.Any(name => name.AsSpan().ContainsAny('/', '\\', '\0')) ? "a file that is not beside the index" : null;
                    break;
                default:
                    (problem, described) = ParseCheckpoint(file);
                    break;
            }
        }
        catch (CheckpointFormatException e)
        {
            refusal = e.Error;
        }
        catch (Exception e)
        {
            problem = e.ToString();
        }

        var (elapsed, allocated) = (ThreadClock.Now - start, GC.GetAllocatedBytesForCurrentThread() - before);
        var factor = kind == FuzzInputs.Amplifier ? AmplifierFactor : AllocationFactor;
        problem ??= allocated > AllocationFloor + ((long)factor * file.Length) ? $"it allocated {allocated:N0} bytes for a file of {file.Length:N0}"
            : elapsed > MaxTime ? $"it took {elapsed.TotalSeconds:N1} s"
            : described is null ? null : Check(number, described, file);
        return (new(kind, file, refusal, problem, elapsed), allocated);
    }

    private (string Kind, byte[] File) Make(long number, int scale) => _inputs.Make(new Random(Mix(number)), scale);

    // Neighbouring numbers must not give alike generators.
    private int Mix(long number) => unchecked((int)((((ulong)number + 1) * 0x9E3779B97F4A7C15 ^ (seed + 1) * 0xBF58476D1CE4E5B9) >> 32));

    private static string? ParseManifest(byte[] utf8)
    {
        var manifest = ShardManifest.Parse(utf8);
        return manifest.ToUtf8().AsSpan().SequenceEqual(ShardManifest.Parse(manifest.ToUtf8()).ToUtf8()) ? null : "the manifest does not round-trip";
    }

    private static (string? Problem, CheckpointDescription? Described) ParseCheckpoint(byte[] file)
    {
        var parser = new CheckpointParser(file.Length);
        while (!parser.Wanted.IsEmpty)
        {
            foreach (var range in parser.Wanted)
            {
                if (range.Length <= 0 || range.Offset < 0 || range.End > file.Length)
                {
                    return ($"it wants the bytes {range} of {file.Length}", null);
                }
            }

            parser.Supply([.. parser.Wanted.Select(range => (ReadOnlyMemory<byte>)file.AsMemory((int)range.Offset, (int)range.Length))]);
        }

        return (null, parser.Description);
    }

    private string? Check(long number, CheckpointDescription description, byte[] file)
    {
        var names = new HashSet<string>(StringComparer.Ordinal);
        return description.Tensors.Select(tensor => Check(tensor, file.Length, names)).FirstOrDefault(problem => problem is not null)
            ?? GatherCheck.Run(new Random(Mix(number)), description, file);
    }

    private static string? Check(TensorInfo tensor, long fileLength, HashSet<string> names)
    {
        if (!names.Add(tensor.Name))
        {
            return $"two tensors are named `{tensor.Name}`";
        }

        var elements = tensor.Shape.ElementCount();
        if (elements == 0)
        {
            return null;
        }

        var extent = tensor.Contiguous ?? new TensorGather(tensor).SourceOf(0, elements);
        return extent.Offset < 0 || extent.Length < 0 || extent.End > fileLength || (tensor.Contiguous is not null && extent.Length != tensor.Bytes)
            ? $"`{tensor.Name}` lies at {extent} of {fileLength} bytes"
            : null;
    }
}

/// <summary>What became of a case.</summary>
/// <param name="Kind">How its file was made.</param>
/// <param name="File">The file.</param>
/// <param name="Refusal">Why it was refused; null where it was described.</param>
/// <param name="Problem">What went wrong; null where nothing did.</param>
/// <param name="Elapsed">How long its thread worked for it.</param>
public sealed record FuzzOutcome(string Kind, byte[] File, CheckpointError? Refusal, string? Problem, TimeSpan Elapsed);
