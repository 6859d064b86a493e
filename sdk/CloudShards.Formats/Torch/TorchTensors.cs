using System.Collections.Immutable;

namespace CloudShards.Formats.Torch;

/// <summary>
/// Makes tensors of the arguments of PyTorch's rebuild functions (<c>torch/_utils.py</c>), and checks that a tensor's elements lie within its
/// TorchStorage.
/// </summary>
internal static class TorchTensors
{
    /// <summary><c>_rebuild_tensor[_v2](storage, offset, size, stride[, requires_grad, hooks[, metadata]])</c>.</summary>
    public static TorchTensor Rebuild(List<PickleNode> args, PickleBudget budget, long offset) =>
        args is [TorchStorage { Type: { DType: { } dtype, IsQuantised: false } } storage, var first, var size, var stride, .. { Count: 0 or 2 or 3 } rest]
            ? View(new(storage, first, size, stride), dtype, Transform(rest is [_, _, var metadata] ? metadata : null, offset), budget, offset)
            : throw Errors.BadArguments("torch._utils._rebuild_tensor_v2", offset);

    /// <summary><c>_rebuild_tensor_v3(storage, offset, size, stride, requires_grad, hooks, dtype[, metadata])</c>, for dtypes without a storage class.</summary>
    public static TorchTensor RebuildV3(List<PickleNode> args, PickleBudget budget, long offset)
    {
        if (args is not [TorchStorage storage, var first, var size, var stride, _, _, PickleGlobal type, .. { Count: <= 1 } rest])
        {
            throw Errors.BadArguments("torch._utils._rebuild_tensor_v3", offset);
        }

        var transform = Transform(rest is [var metadata] ? metadata : null, offset);
        return type.FullName == "torch.float4_e2m1fn_x2" ? ViewPairs(new(storage, first, size, stride), budget, offset)
            : TorchGlobals.TryGetDType(type, out var dtype) ? View(new(storage, first, size, stride), dtype, transform, budget, offset)
            : throw Errors.UnknownTorchDType(type.FullName, offset);
    }

    /// <summary><c>_rebuild_qtensor(storage, offset, size, stride, (scheme, scale, zero_point[, axis]), requires_grad, hooks)</c>.</summary>
    public static TorchQuantised RebuildQuantised(List<PickleNode> args, PickleBudget budget, long offset)
    {
        if (args is not [TorchStorage { Type: { DType: { } dtype, IsQuantised: true } } storage, var first, var size, var stride, PickleSequence parameters, ..])
        {
            throw Errors.BadArguments("torch._utils._rebuild_qtensor", offset);
        }

        var data = View(new(storage, first, size, stride), dtype, ElementTransform.None, budget, offset);
        budget.Spend(PickleBudget.Number);
        return parameters.Items switch
        {
            [PickleGlobal { Module: "torch", Name: "per_tensor_affine" } scheme, PickleFloat scale, PickleInteger zeroPoint] =>
                new(data, scheme.Name, scale, zeroPoint, null),
            [PickleGlobal { Module: "torch", Name: "per_channel_affine" or "per_channel_affine_float_qparams" } scheme,
                TorchTensor scales, TorchTensor zeroPoints, PickleInteger axis] =>
                new(data, scheme.Name, PerChannel(scales, data, axis, offset), PerChannel(zeroPoints, data, axis, offset), axis),
            _ => throw Errors.BadArguments("torch._utils._rebuild_qtensor", offset),
        };
    }

    /// <summary><c>_rebuild_sparse_tensor(layout, (indices, values, size[, is_coalesced]))</c>, or two kinds of indices where the layout is compressed.</summary>
    public static TorchSparse RebuildSparse(List<PickleNode> args, PickleBudget budget, long offset)
    {
        if (args is not [PickleText { Value: var name }, PickleSequence { Items: var parts }])
        {
            throw Errors.BadArguments("torch._utils._rebuild_sparse_tensor", offset);
        }

        var layout = name.StartsWith("torch.", StringComparison.Ordinal) ? name["torch.".Length..] : name;
        var sparse = (layout, parts) switch
        {
            ("sparse_coo", [TorchTensor indices, TorchTensor values, PickleSequence shape, ..]) =>
                new TorchSparse(layout, Shape(shape, budget, offset), [("indices", indices), ("values", values)]),
            ("sparse_csr" or "sparse_bsr", [TorchTensor rows, TorchTensor columns, TorchTensor values, PickleSequence shape]) =>
                new(layout, Shape(shape, budget, offset), [("crow_indices", rows), ("col_indices", columns), ("values", values)]),
            ("sparse_csc" or "sparse_bsc", [TorchTensor columns, TorchTensor rows, TorchTensor values, PickleSequence shape]) =>
                new(layout, Shape(shape, budget, offset), [("ccol_indices", columns), ("row_indices", rows), ("values", values)]),
            _ => throw Errors.BadArguments("torch._utils._rebuild_sparse_tensor", offset),
        };
        SparseGeometry.Check(sparse, offset);
        return sparse;
    }

    /// <summary>The view <c>(storage, offset, size, stride)</c> as a tensor.</summary>
    public static TorchTensor View(ViewArguments view, TensorDType dtype, ElementTransform transform, PickleBudget budget, long offset)
    {
        if (view is not { First: PickleInteger first, Size: PickleSequence size, Stride: PickleSequence stride })
        {
            throw Errors.BadSizeOrStride(offset);
        }

        var rank = size.Items.Count;
        if (stride.Items.Count != rank)
        {
            throw Errors.StridesForSizes(rank, stride.Items.Count, offset);
        }

        var (shape, strides) = (Shape(size, budget, offset), Numbers(stride, offset));
        if (!first.TryGetInt64(out var start) || start < 0
            || !shape.TryCountBytes(dtype, out _) || !Fits(shape, strides, start, view.Storage.View.Length * 8 / dtype.Bits()))
        {
            throw Errors.BadGeometry(shape, strides, first.Value, view.Storage.Key, offset);
        }

        var layout = new TensorLayout
        {
            Extent = view.Storage.View,
            ElementOffset = shape.Sizes.Contains(0) ? 0 : start,
            Strides = strides,
            Transform = transform,
        };
        return new(view.Storage, dtype, shape, layout);
    }

    // A row with a number for each index of the axis.
    private static TorchTensor PerChannel(TorchTensor numbers, TorchTensor data, PickleInteger axis, long offset) =>
        !axis.TryGetInt64(out var dimension) || dimension < 0 || dimension >= data.Shape.Rank
            ? throw Errors.BadQuantisation($"it has the axis {axis.Value} and {data.Shape.Rank} dimensions", offset)
            : numbers.Shape.Rank != 1 || numbers.Shape[0] != data.Shape[(int)dimension]
            ? throw Errors.BadQuantisation($"it has scales or zero points of shape {numbers.Shape} for {data.Shape[(int)dimension]} channels", offset)
            : numbers;

    // PyTorch counts the pairs of 4-bit elements that share a byte, safetensors and the manifest the elements.
    private static TorchTensor ViewPairs(ViewArguments view, PickleBudget budget, long offset)
    {
        var pairs = View(view, TensorDType.U8, ElementTransform.None, budget, offset);
        var bytes = new TensorInfo("", TensorDType.U8, pairs.Shape, pairs.Layout).Contiguous;
        return bytes is { } run && pairs.Shape.Rank > 0 && pairs.Shape[^1] <= long.MaxValue / 2
            ? new(pairs.Storage, TensorDType.F4, new([.. pairs.Shape.SkipLast(1), pairs.Shape[^1] * 2]), new() { Extent = run })
            : throw Errors.UnsupportedTensor("a scalar, a strided view or 2^62 columns of 4-bit elements", offset);
    }

    private static bool Fits(TensorShape shape, ImmutableArray<long> strides, long start, long elements)
    {
        // PyTorch lets an empty tensor begin anywhere: x[4:, 3:] of four rows keeps an offset beyond its storage.
        if (shape.Sizes.Contains(0))
        {
            return true;
        }

        Int128 last = start;
        for (var d = 0; d < shape.Rank; d++)
        {
            last += (Int128)(shape[d] - 1) * strides[d];
        }

        return last < elements;
    }

    private static TensorShape Shape(PickleSequence sizes, PickleBudget budget, long offset)
    {
        var rank = sizes.Items.Count;
        if (rank > budget.Limits.MaxRank)
        {
            throw Errors.LimitExceeded("the dimensions of a tensor", rank, budget.Limits.MaxRank, nameof(budget.Limits.MaxRank));
        }

        budget.Spend(PickleBudget.Tensor + (2L * rank * PickleBudget.Dimension));
        return new(Numbers(sizes, offset));
    }

    private static ImmutableArray<long> Numbers(PickleSequence sequence, long offset)
    {
        var numbers = ImmutableArray.CreateBuilder<long>(sequence.Items.Count);
        foreach (var item in sequence.Items)
        {
            numbers.Add(item is PickleInteger integer && integer.TryGetInt64(out var number) && number >= 0
                ? number
                : throw Errors.BadSizeOrStride(offset));
        }

        return numbers.MoveToImmutable();
    }

    // PyTorch 2.0 keeps lazy views by flags: {'conj': True}, {'neg': True}.
    private static ElementTransform Transform(PickleNode? metadata, long offset)
    {
        if (metadata is null or PickleNone)
        {
            return ElementTransform.None;
        }

        var transform = ElementTransform.None;
        foreach (var (key, value) in (metadata as PickleDict ?? throw Errors.BadArguments("torch._utils._rebuild_tensor_v2", offset)).Items)
        {
            transform |= (key, value) switch
            {
                (PickleText { Value: "conj" }, PickleBool { Value: true }) => ElementTransform.Conjugate,
                (PickleText { Value: "neg" }, PickleBool { Value: true }) => ElementTransform.Negate,
                (PickleText { Value: "conj" or "neg" }, PickleBool) => ElementTransform.None,
                _ => throw Errors.BadArguments("torch._utils._rebuild_tensor_v2", offset),
            };
        }

        return transform;
    }
}

/// <summary>The first arguments of every rebuild function.</summary>
internal readonly record struct ViewArguments(TorchStorage Storage, PickleNode First, PickleNode Size, PickleNode Stride);
