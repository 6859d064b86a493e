using static TorchSharp.torch;

namespace CloudShards;

/// <summary>
/// Copies runs of elements, counted in row-major order, between a tensor of any layout on any device and a one-dimensional tensor. The
/// run's length is that of the latter.
/// </summary>
internal static class ElementRuns
{
    /// <summary>Copies the elements from <paramref name="start"/> on into <paramref name="run"/>.</summary>
    public static void Gather(Tensor tensor, long start, Tensor run) =>
        ForEachBox(tensor, start, run, static (box, part) => part.copy_(box));

    /// <summary>Copies <paramref name="run"/> over the elements from <paramref name="start"/> on.</summary>
    public static void Scatter(Tensor tensor, long start, Tensor run) =>
        ForEachBox(tensor, start, run, static (box, part) => box.copy_(part));

    private static void ForEachBox(Tensor tensor, long start, Tensor run, Action<Tensor, Tensor> copy)
    {
        // It belongs to the thread, as does every dispose scope, so nothing may be awaited in here.
        using var noGradient = no_grad();
        using var whole = tensor.dim() == 0 ? tensor.view(1) : tensor.alias();
        long copied = 0;
        foreach (var block in RowMajorBlocks.Of(whole.shape, start, run.numel()))
        {
            using var box = Narrow(whole, block);
            using var elements = run.narrow(0, copied, block.Elements);
            using var part = elements.view(box.shape);
            copy(box, part);
            copied += block.Elements;
        }
    }

    private static Tensor Narrow(Tensor tensor, RowMajorBlock block)
    {
        var inner = tensor.alias();
        foreach (var index in block.Outer)
        {
            using var outer = inner;
            inner = outer.select(0, index);
        }

        using (inner)
        {
            return inner.narrow(0, block.First, block.Count);
        }
    }
}
