using System.Text;

namespace CloudShards.Formats.Torch;

/// <summary>What calls, states and persistent ids of a pickle make of plain nodes.</summary>
internal static class TorchObjects
{
    // Keys are decimal numbers: small ones, or addresses.
    private const int MaxKeyLength = 64;

    /// <summary>The result of calling <paramref name="callable"/>: a known shape, or an inert record.</summary>
    public static PickleNode Create(PickleNode callable, PickleNode arguments, PickleBudget budget, long offset)
    {
        if (callable is not PickleGlobal global)
        {
            throw Errors.BadPickle("a call of something that is not a name", offset);
        }

        if (arguments is not PickleSequence { Is: PickleSequence.Kind.Tuple, Items: var args })
        {
            throw Errors.BadPickle($"`{global.FullName}` is called without a tuple of arguments", offset);
        }

        if (TorchGlobals.TryGetStorageClass(global, out _))
        {
            throw Errors.BadPickle($"the storage class `{global.FullName}` is called", offset);
        }

        return TorchGlobals.Meaning(global) switch
        {
            TorchGlobal.Unknown => Instance(global, arguments, budget),
            TorchGlobal.Dict => Dict(args, global, budget, offset),
            TorchGlobal.DefaultDict => Dict([.. args.Skip(1)], global, budget, offset),
            TorchGlobal.Set => Sequence(PickleSequence.Kind.Set, args, global, budget, offset),
            TorchGlobal.List => Sequence(PickleSequence.Kind.List, args, global, budget, offset),
            TorchGlobal.Tuple => Sequence(PickleSequence.Kind.Tuple, args, global, budget, offset),
            TorchGlobal.ByteArray => ByteArray(args, budget, offset),
            TorchGlobal.Complex => args is [PickleFloat real, PickleFloat imaginary]
                ? new PickleComplex(real.Value, imaginary.Value)
                : throw Errors.BadArguments(global.FullName, offset),
            TorchGlobal.Encode => Encode(args, budget, offset),
            TorchGlobal.Device => Device(args, global, offset),
            TorchGlobal.RebuildTensor => TorchTensors.Rebuild(args, budget, offset),
            TorchGlobal.RebuildTensorV3 => TorchTensors.RebuildV3(args, budget, offset),
            TorchGlobal.RebuildParameter => args is [TorchTensor data, ..] ? data : throw Errors.BadArguments(global.FullName, offset),
            TorchGlobal.RebuildFromType => args is [PickleGlobal function, PickleGlobal, PickleSequence inner, ..]
                ? Create(KnownRebuild(function, offset), inner, budget, offset)
                : throw Errors.BadArguments(global.FullName, offset),
            TorchGlobal.Quantised => throw Errors.UnsupportedTensor("quantised", offset),
            TorchGlobal.Sparse => throw Errors.UnsupportedTensor("sparse", offset),
            TorchGlobal.Meta => throw Errors.UnsupportedTensor("meta (it has no bytes)", offset),
            _ => throw Errors.UnsupportedTensor($"rebuilt by `{global.FullName}`", offset),
        };
    }

    /// <summary>
    /// Attaches a state. That of a known object is dropped: it is what Python keeps beside an OrderedDict's items (PyTorch's
    /// <c>_metadata</c>) or as attributes of a tensor.
    /// </summary>
    public static void Build(PickleNode target, PickleNode state, long offset)
    {
        switch (target)
        {
            case PickleObject instance:
                instance.Parts.Add(state);
                break;
            case PickleDict or TorchTensor:
                break;
            default:
                throw Errors.BadPickle("a state is given to a plain value", offset);
        }
    }

    /// <summary>The TorchStorage of a persistent id <c>('storage', class, key, location, numel[, view])</c>; numel counts bytes where untyped.</summary>
    public static TorchStorage Storage(PickleNode id, long offset)
    {
        if (id is not PickleSequence
            {
                Is: PickleSequence.Kind.Tuple,
                Items: [PickleText { Value: "storage" }, PickleGlobal type, PickleText key, PickleText location, PickleInteger count, .. var rest],
            })
        {
            throw Errors.BadPickle("a persistent id that is not PyTorch's `('storage', class, key, location, numel)`", offset);
        }

        if (key.Value.Length > MaxKeyLength)
        {
            throw Errors.BadPickle($"a storage key of {key.Value.Length} characters", offset);
        }

        if (!TorchGlobals.TryGetStorageClass(type, out var dtype))
        {
            throw Errors.UnknownStorage(type.FullName, offset);
        }

        if (rest is not ([] or [PickleNone]))
        {
            throw Errors.UnsupportedTensor("a view by persistent id (PyTorch before 0.4)", offset);
        }

        if (location.Value == "meta")
        {
            throw Errors.UnsupportedTensor("meta (it has no bytes)", offset);
        }

        var bits = dtype?.Bits() ?? 8;
        return count.TryGetInt64(out var elements) && elements >= 0 && elements <= long.MaxValue / bits
            ? new(key.Value, dtype, elements * bits / 8)
            : throw Errors.BadStorageSize(key.Value, count.Value, offset);
    }

    private static PickleObject Instance(PickleGlobal type, PickleNode arguments, PickleBudget budget)
    {
        budget.Spend(PickleBudget.Instance);
        return new(type, arguments);
    }

    private static PickleGlobal KnownRebuild(PickleGlobal function, long offset) =>
        TorchGlobals.Meaning(function) is TorchGlobal.RebuildTensor or TorchGlobal.RebuildTensorV3 or TorchGlobal.RebuildParameter
            ? function
            : throw Errors.UnsupportedTensor($"rebuilt by `{function.FullName}`", offset);

    private static PickleDict Dict(List<PickleNode> args, PickleGlobal global, PickleBudget budget, long offset)
    {
        var dict = new PickleDict();
        switch (args)
        {
            case []:
                break;
            case [PickleDict other]:
                budget.Spend(other.Items.Count);
                dict.Items.AddRange(other.Items);
                break;
            case [PickleSequence pairs] when pairs.Items.TrueForAll(pair => pair is PickleSequence { Items.Count: 2 }):
                budget.Spend(pairs.Items.Count);
                dict.Items.EnsureCapacity(pairs.Items.Count);
                dict.Items.AddRange(pairs.Items.Cast<PickleSequence>().Select(pair => KeyValuePair.Create(pair.Items[0], pair.Items[1])));
                break;
            default:
                throw Errors.BadArguments(global.FullName, offset);
        }

        return dict;
    }

    private static PickleSequence Sequence(PickleSequence.Kind kind, List<PickleNode> args, PickleGlobal global, PickleBudget budget, long offset)
    {
        switch (args)
        {
            case []:
                return new(kind, []);
            case [PickleSequence { Items: var items }]:
                budget.Spend(items.Count);
                return new(kind, [.. items]);
            default:
                throw Errors.BadArguments(global.FullName, offset);
        }
    }

    private static PickleText Device(List<PickleNode> args, PickleGlobal global, long offset) => args switch
    {
        [PickleText device] => device,
        [PickleText device, PickleInteger number] when number.TryGetInt64(out var index) => new($"{device.Value}:{index}"),
        _ => throw Errors.BadArguments(global.FullName, offset),
    };

    // bytearray(n) would make n bytes out of a number: only the forms that carry their bytes are known.
    private static PickleBytes ByteArray(List<PickleNode> args, PickleBudget budget, long offset) => args switch
    {
        [] => new([]),
        [PickleBytes bytes] => bytes,
        [PickleText, PickleText] => Encode(args, budget, offset),
        _ => throw Errors.BadArguments("builtins.bytearray", offset),
    };

    // Protocol 2 has no bytes: they are written as Latin-1 text and a call of the codec.
    private static PickleBytes Encode(List<PickleNode> args, PickleBudget budget, long offset)
    {
        if (args is not [PickleText { Value: var text }, PickleText { Value: "latin1" or "latin-1" }]
            || text.AsSpan().ContainsAnyExceptInRange('\0', '\u00ff'))
        {
            throw Errors.BadArguments("_codecs.encode", offset);
        }

        budget.SpendBytes(text.Length);
        return new(Encoding.Latin1.GetBytes(text));
    }
}
