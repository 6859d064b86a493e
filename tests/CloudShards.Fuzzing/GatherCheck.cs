using CloudShards.Formats;

namespace CloudShards.Fuzzing;

/// <summary>Reads the elements of described tensors as the pipeline does, window by window and block by block, and one by one as they are defined.</summary>
internal static class GatherCheck
{
    private const int MaxElements = 4096;
    private const int MaxTensors = 4;

    /// <summary>What is wrong with the first few tensors that are small enough; null where nothing is.</summary>
    public static string? Run(Random random, CheckpointDescription description, byte[] file) => description.Tensors
        .Where(tensor => tensor.Shape.ElementCount() is > 0 and <= MaxElements && tensor.DType.Bits() % 8 == 0)
        .Take(MaxTensors)
        .Select(tensor => Run(random, tensor, file))
        .FirstOrDefault(problem => problem is not null);

    private static string? Run(Random random, TensorInfo tensor, byte[] file)
    {
        var (gather, elements) = (new TensorGather(tensor), (int)tensor.Shape.ElementCount());
        var (gathered, windowElements) = (new byte[tensor.Bytes], random.Next(1, elements + 1));
        var maxBlock = gather.ElementBytes * random.Next(1, 64);
        for (var first = 0; first < elements; first += windowElements)
        {
            var count = Math.Min(windowElements, elements - first);
            var window = gathered.AsSpan(first * gather.ElementBytes, count * gather.ElementBytes);
            foreach (var block in gather.BlocksOf(first, count, maxBlock))
            {
                if (block.Offset < tensor.Layout.Extent.Offset || block.End > tensor.Layout.Extent.End || block.Length > maxBlock)
                {
                    return $"`{tensor.Name}` wants {block} in blocks of {maxBlock}";
                }

                gather.Gather(first, window, block.Offset, file.AsSpan((int)block.Offset, (int)block.Length));
            }

            gather.Finish(window);
        }

        return gathered.AsSpan().SequenceEqual(tensor.Contiguous is { } run ? file.AsSpan((int)run.Offset, (int)run.Length) : OneByOne(tensor, gather, file))
            ? null
            : $"`{tensor.Name}` is gathered wrong, {windowElements} elements at a time in blocks of {maxBlock}";
    }

    private static byte[] OneByOne(TensorInfo tensor, TensorGather gather, byte[] file)
    {
        var bytes = new byte[tensor.Bytes];
        var index = new long[tensor.Shape.Rank];
        for (var at = 0; at < bytes.Length; at += gather.ElementBytes)
        {
            var element = tensor.Layout.ElementOffset;
            for (var (d, next) = (index.Length - 1, 1L); d >= 0; d--)
            {
                element += index[d] * (tensor.Layout.Strides.IsDefault ? next : tensor.Layout.Strides[d]);
                next *= tensor.Shape[d];
            }

            var from = tensor.Layout.Extent.Offset + (element * gather.ElementBytes);
            file.AsSpan((int)from, gather.ElementBytes).CopyTo(bytes.AsSpan(at));
            for (var d = index.Length - 1; d >= 0 && ++index[d] == tensor.Shape[d]; d--)
            {
                index[d] = 0;
            }
        }

        gather.Finish(bytes);
        return bytes;
    }
}
