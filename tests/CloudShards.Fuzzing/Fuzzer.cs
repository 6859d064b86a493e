using System.Diagnostics;
using System.Diagnostics.CodeAnalysis;
using CloudShards.Formats;

namespace CloudShards.Fuzzing;

/// <summary>
/// Feeds made-up files to the parsers. A case is known by seed and number, and can be made again alone. Two outcomes are allowed: a
/// description in which every tensor lies within the file, or a <see cref="CheckpointFormatException"/>; each within a second and within a bound on
/// what is allocated.
/// </summary>
public sealed class Fuzzer(ulong seed)
{
    private static readonly TimeSpan MaxTime = TimeSpan.FromSeconds(1);

    // A name of n characters may be copied a few times, a pickle's byte may become a node of 100 bytes, and there is a floor for tables.
    private const long AllocationFloor = 4 << 20;
    private const int AllocationFactor = 512;

    private readonly FuzzInputs _inputs = new();

    /// <summary>The file of a case.</summary>
    public (string Kind, byte[] File) Make(long number) => _inputs.Make(new Random(Mix(number)));

    /// <summary>Runs a case. One that took too long, maybe because the machine is busy, has two more chances.</summary>
    public FuzzOutcome Run(long number)
    {
        var outcome = RunOnce(number);
        for (var again = 0; again < 2 && outcome.Elapsed > MaxTime; again++)
        {
            outcome = RunOnce(number);
        }

        return outcome.Problem is null && outcome.Elapsed > MaxTime
            ? outcome with { Problem = $"it took {outcome.Elapsed.TotalSeconds:N1} s" }
            : outcome;
    }

    [SuppressMessage("Design", "CA1031", Justification = "Whatever escapes a parser is what is looked for.")]
    private FuzzOutcome RunOnce(long number)
    {
        var (kind, file) = Make(number);
        var (watch, before) = (Stopwatch.StartNew(), GC.GetAllocatedBytesForCurrentThread());
        string? problem = null;
        CheckpointError? refusal = null;
        try
        {
            problem = kind == FuzzInputs.Manifest ? ParseDocument(file) : ParseCheckpoint(file);
        }
        catch (CheckpointFormatException e)
        {
            refusal = e.Error;
        }
        catch (Exception e)
        {
            problem = e.ToString();
        }

        var allocated = GC.GetAllocatedBytesForCurrentThread() - before;
        problem ??= allocated > AllocationFloor + ((long)AllocationFactor * file.Length) ? $"it allocated {allocated:N0} bytes for a file of {file.Length:N0}" : null;
        return new(kind, file, refusal, problem, watch.Elapsed);
    }

    // Neighbouring numbers must not give alike generators.
    private int Mix(long number) => unchecked((int)((((ulong)number + 1) * 0x9E3779B97F4A7C15 ^ (seed + 1) * 0xBF58476D1CE4E5B9) >> 32));

    private static string? ParseDocument(byte[] utf8)
    {
        var manifest = ShardManifest.Parse(utf8);
        return manifest.ToUtf8().AsSpan().SequenceEqual(ShardManifest.Parse(manifest.ToUtf8()).ToUtf8()) ? null : "the manifest does not round-trip";
    }

    private static string? ParseCheckpoint(byte[] file)
    {
        var parser = new CheckpointParser(file.Length);
        while (!parser.Wanted.IsEmpty)
        {
            foreach (var range in parser.Wanted)
            {
                if (range.Length <= 0 || range.Offset < 0 || range.End > file.Length)
                {
                    return $"it wants the bytes {range} of {file.Length}";
                }
            }

            parser.Supply([.. parser.Wanted.Select(range => (ReadOnlyMemory<byte>)file.AsMemory((int)range.Offset, (int)range.Length))]);
        }

        var names = new HashSet<string>(StringComparer.Ordinal);
        return parser.Description.Tensors.Select(tensor => Check(tensor, file.Length, names)).FirstOrDefault(problem => problem is not null);
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
/// <param name="Elapsed">How long it took.</param>
public sealed record FuzzOutcome(string Kind, byte[] File, CheckpointError? Refusal, string? Problem, TimeSpan Elapsed);
