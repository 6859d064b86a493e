namespace CloudShards.Formats.Torch;

/// <summary>
/// Checks that the dense parts of a sparse tensor can make it up, by the rules of PyTorch's documentation of its sparse layouts. What the indices say is not
/// looked at: they are data.
/// </summary>
internal static class SparseGeometry
{
    /// <summary>Checks a tensor.</summary>
    /// <exception cref="CheckpointFormatException">Its parts do not fit each other or its shape.</exception>
    public static void Check(TorchSparse sparse, long offset)
    {
        TorchTensor[] parts = [.. sparse.Parts.Select(part => (TorchTensor)part.Tensor)];
        if (parts.SkipLast(1).Any(indices => indices.DType is not (TensorDType.I64 or TensorDType.I32)))
        {
            throw Errors.BadSparse(sparse.Layout, "its indices are not whole numbers", offset);
        }

        var fits = sparse.Layout == "sparse_coo"
            ? FitCoordinates(sparse.Shape, parts[0].Shape, parts[1].Shape)
            : FitCompressed(sparse, parts[0].Shape, parts[1].Shape, parts[2].Shape);
        if (!fits)
        {
            var shapes = string.Join(", ", sparse.Parts.Zip(parts, (part, tensor) => $"{part.Name} {tensor.Shape}"));
            throw Errors.BadSparse(sparse.Layout, $"{shapes} cannot make up the shape {sparse.Shape}", offset);
        }
    }

    // Indices are [sparse dimensions, count], values [count, dense dimensions…].
    private static bool FitCoordinates(TensorShape shape, TensorShape indices, TensorShape values) =>
        indices.Rank == 2 && values.Rank > 0 && indices[0] <= shape.Rank && indices[1] == values[0]
        && shape.Skip((int)indices[0]).SequenceEqual(values.Skip(1));

    // Compressed indices are [batches…, rows + 1], plain ones [batches…, count], values [batches…, count, block, dense dimensions…].
    private static bool FitCompressed(TorchSparse sparse, TensorShape compressed, TensorShape plain, TensorShape values)
    {
        var (shape, batches) = (sparse.Shape, compressed.Rank - 1);
        var isBlocked = sparse.Layout is "sparse_bsr" or "sparse_bsc";
        var valuesBefore = batches + 1 + (isBlocked ? 2 : 0);
        if (batches < 0 || plain.Rank != compressed.Rank || shape.Rank < batches + 2 || values.Rank < valuesBefore
            || !shape.Take(batches).SequenceEqual(compressed.Take(batches)) || !shape.Take(batches).SequenceEqual(plain.Take(batches))
            || !values.Take(batches + 1).SequenceEqual(plain) || !values.Skip(valuesBefore).SequenceEqual(shape.Skip(batches + 2)))
        {
            return false;
        }

        var (blockRows, blockColumns) = isBlocked ? (values[batches + 1], values[batches + 2]) : (1, 1);
        if (blockRows < 1 || blockColumns < 1 || shape[batches] % blockRows != 0 || shape[batches + 1] % blockColumns != 0)
        {
            return false;
        }

        var rows = sparse.Layout is "sparse_csr" or "sparse_bsr" ? shape[batches] / blockRows : shape[batches + 1] / blockColumns;
        return compressed[batches] - 1 == rows;
    }
}
