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
        args is [TorchStorage { DType: { } dtype } storage, PickleInteger first, PickleSequence size, PickleSequence stride, .. { Count: 0 or 2 or 3 } rest]
            ? View(storage, dtype, first, size, stride, Transform(rest is [_, _, var metadata] ? metadata : null, offset), budget, offset)
            : throw Errors.BadArguments("torch._utils._rebuild_tensor_v2", offset);

    /// <summary><c>_rebuild_tensor_v3(storage, offset, size, stride, requires_grad, hooks, dtype[, metadata])</c>, for dtypes without a storage class.</summary>
    public static TorchTensor RebuildV3(List<PickleNode> args, PickleBudget budget, long offset)
    {
        if (args is not [TorchStorage storage, PickleInteger first, PickleSequence size, PickleSequence stride, _, _, PickleGlobal type, .. { Count: <= 1 } rest])
        {
            throw Errors.BadArguments("torch._utils._rebuild_tensor_v3", offset);
        }

        return TorchGlobals.TryGetDType(type, out var dtype)
            ? View(storage, dtype, first, size, stride, Transform(rest is [var metadata] ? metadata : null, offset), budget, offset)
            : throw Errors.UnknownTorchDType(type.FullName, offset);
    }

    private static TorchTensor View(
        TorchStorage storage,
        TensorDType dtype,
        PickleInteger first,
        PickleSequence size,
        PickleSequence stride,
        ElementTransform transform,
        PickleBudget budget,
        long offset)
    {
        var rank = size.Items.Count;
        if (rank > budget.Limits.MaxRank)
        {
            throw Errors.LimitExceeded("the dimensions of a tensor", rank, budget.Limits.MaxRank, nameof(budget.Limits.MaxRank));
        }

        if (stride.Items.Count != rank)
        {
            throw Errors.StridesForSizes(rank, stride.Items.Count, offset);
        }

        budget.Spend(PickleBudget.Tensor + (2 * rank));
        var sizes = Numbers(size, offset);
        var strides = Numbers(stride, offset);
        if (!first.TryGetInt64(out var start) || start < 0)
        {
            throw Errors.BadGeometry(new TensorShape(sizes), strides, first.Value, storage.Key, offset);
        }

        var shape = new TensorShape(sizes);
        if (!shape.TryCountBytes(dtype, out _) || !Fits(shape, strides, start, storage.Bytes * 8 / dtype.Bits()))
        {
            throw Errors.BadGeometry(shape, strides, start, storage.Key, offset);
        }

        var layout = new TensorLayout
        {
            Extent = new(0, storage.Bytes),
            ElementOffset = shape.Sizes.Contains(0) ? 0 : start,
            Strides = strides,
            Transform = transform,
        };
        return new(storage, dtype, shape, layout);
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
