using System.Collections.Immutable;
using CloudShards.Formats;
using static TorchSharp.torch;

namespace CloudShards;

/// <summary>A run of elements, in row-major order, of a module's tensor that cannot be read in place.</summary>
/// <param name="Tensor">The tensor.</param>
/// <param name="FirstElement">The run's first element.</param>
/// <param name="Elements">Number of elements.</param>
internal readonly record struct StagedRun(PlannedTensor Tensor, long FirstElement, long Elements)
{
    private long Bytes => Elements * ElementBytes;

    private int ElementBytes => Tensor.Source.DType.Bits() / 8;

    /// <summary>
    /// Cuts tensors into runs, and these into batches of at most <paramref name="batchBytes"/>, or of one run where that is longer. Runs
    /// begin and end between chunks, so that every chunk is verified.
    /// </summary>
    public static IEnumerable<ImmutableArray<StagedRun>> Batches(IEnumerable<PlannedTensor> tensors, int chunkBytes, int batchBytes)
    {
        var batch = ImmutableArray.CreateBuilder<StagedRun>();
        long bytes = 0;
        foreach (var run in tensors.SelectMany(tensor => Of(tensor, chunkBytes)))
        {
            if (batch.Count > 0 && bytes + run.Bytes > batchBytes)
            {
                yield return batch.DrainToImmutable();
                bytes = 0;
            }

            batch.Add(run);
            bytes += run.Bytes;
        }

        if (batch.Count > 0)
        {
            yield return batch.DrainToImmutable();
        }
    }

    /// <summary>A row-major CPU tensor for the run; the caller disposes of it.</summary>
    public Tensor Stage() =>
        // It lives across awaits, so it must not end with a dispose scope of the thread that happens to make it.
        empty(Elements, dtype: Tensor.Target.dtype, device: CPU).DetachFromDisposeScope();

    /// <summary>The reads that fill what <see cref="Stage"/> made.</summary>
    /// <param name="staging">What it made.</param>
    /// <param name="windowBytes">Bytes of the longest read, in whole chunks.</param>
    public IEnumerable<ShardRead> ReadsInto(Tensor staging, int windowBytes)
    {
        foreach (var (offset, window) in TensorMemory.Windows(staging, windowBytes))
        {
            yield return new(Tensor.Source, (FirstElement * ElementBytes) + offset, window);
        }
    }

    /// <summary>Copies what was read into the module's tensor.</summary>
    public void Unload(Tensor staging) => ElementRuns.Scatter(Tensor.Target, FirstElement, staging);

    private static IEnumerable<StagedRun> Of(PlannedTensor tensor, int chunkBytes)
    {
        // A chunk may end within an element; as many chunks as an element has bytes never do.
        var elementBytes = tensor.Source.DType.Bits() / 8;
        var runElements = chunkBytes % elementBytes == 0 ? chunkBytes / elementBytes : chunkBytes;
        var elements = tensor.Target.numel();
        for (long first = 0; first < elements; first += runElements)
        {
            yield return new(tensor, first, Math.Min(runElements, elements - first));
        }
    }
}
