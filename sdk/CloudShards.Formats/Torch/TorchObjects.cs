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

        if (TorchGlobals.TryGetStorageType(global, out _))
        {
            throw Errors.BadPickle($"the storage class `{global.FullName}` is called", offset);
        }

        return TorchGlobals.Meaning(global) switch
        {
            TorchGlobal.Unknown => Instance(global, arguments, budget),
            TorchGlobal.Dict => Dict(args, global, budget, offset),
            TorchGlobal.DefaultDict => Dict(args is [_, .. var rest] ? rest : args, global, budget, offset),
            TorchGlobal.Set => Sequence(PickleSequence.Kind.Set, args, global, budget, offset),
            TorchGlobal.List => Sequence(PickleSequence.Kind.List, args, global, budget, offset),
            TorchGlobal.Tuple => Sequence(PickleSequence.Kind.Tuple, args, global, budget, offset),
            TorchGlobal.ByteArray => ByteArray(args, budget, offset),
            TorchGlobal.Complex => Complex(args, global, budget, offset),
            TorchGlobal.Encode => Encode(args, budget, offset),
            TorchGlobal.Device => Device(args, global, budget, offset),
            TorchGlobal.RebuildTensor => TorchTensors.Rebuild(args, budget, offset),
            TorchGlobal.RebuildTensorV3 => TorchTensors.RebuildV3(args, budget, offset),
            TorchGlobal.RebuildParameter => args is [TorchTensor or TorchQuantised or TorchSparse, ..] ? args[0] : throw Errors.BadArguments(global.FullName, offset),
            TorchGlobal.RebuildFromType => args is [PickleGlobal function, PickleGlobal, PickleSequence inner, ..]
                ? Create(KnownRebuild(function, offset), inner, budget, offset)
                : throw Errors.BadArguments(global.FullName, offset),
            TorchGlobal.RebuildQuantised => TorchTensors.RebuildQuantised(args, budget, offset),
            TorchGlobal.RebuildSparse => TorchTensors.RebuildSparse(args, budget, offset),
            TorchGlobal.Layout => args is [PickleText layout] ? layout : throw Errors.BadArguments(global.FullName, offset),
            TorchGlobal.TypeTag => args is [var tagged, _] ? tagged : throw Errors.BadArguments(global.FullName, offset),
            TorchGlobal.Meta => throw Errors.UnsupportedTensor("meta (it has no bytes)", offset),
            _ => throw Errors.UnsupportedTensor($"rebuilt by `{global.FullName}`", offset),
        };
    }

    /// <summary>
    /// Attaches a state. That of a known object is dropped: it is what Python keeps beside an OrderedDict's items (PyTorch's
    /// <c>_metadata</c>) or as attributes of a tensor.
    /// </summary>
    public static void Build(PickleNode target, PickleNode state, PickleBudget budget, long offset)
    {
        switch (target)
        {
            // A state is a dictionary, or a pair of one and of the values of slots, of which either may be None.
            case PickleObject { Attributes: null } instance when state is PickleDict attributes:
                instance.Attributes = attributes;
                break;
            case PickleObject { Attributes: null } instance
                when state is PickleSequence { Is: PickleSequence.Kind.Tuple, Items: [PickleDict or PickleNone, PickleDict slots] } pair:
                (instance.Attributes, instance.Slots) = pair.Items[0] is PickleDict named ? (named, slots) : (slots, null);
                break;
            case PickleObject instance:
                budget.Grow(instance.Parts, 1, PickleBudget.Item);
                instance.Parts.Add(state);
                break;
            case PickleDict or TorchTensor or TorchQuantised or TorchSparse:
                budget.Release(state);
                break;
            default:
                throw Errors.BadPickle("a state is given to a plain value", offset);
        }
    }

    /// <summary>
    /// What a persistent id of <c>torch.save</c> stands for: <c>('storage', class, key, location, numel[, view])</c>, where numel counts bytes if the
    /// class is untyped, or <c>('module', class, file, source text)</c>, which is the class.
    /// </summary>
    public static PickleNode Persistent(PickleNode id, PickleBudget budget, long offset) => id switch
    {
        PickleSequence { Is: PickleSequence.Kind.Tuple, Items: [PickleText { Value: "module" }, PickleGlobal type, PickleText, PickleText] } => type,
        PickleSequence
        {
            Is: PickleSequence.Kind.Tuple,
            Items: [PickleText { Value: "storage" }, PickleGlobal type, PickleText key, PickleText location, PickleInteger count, .. { Count: <= 1 } view],
        } => Storage(type, key.Value, location.Value, count, view is [var only] ? only : PickleNone.Instance, budget, offset),
        _ => throw Errors.BadPickle("a persistent id that is not PyTorch's `('storage', class, key, location, numel)`", offset),
    };

    /// <summary>A storage of <paramref name="count"/> elements.</summary>
    public static TorchStorage Storage(
        PickleGlobal type, string key, string location, PickleInteger count, PickleNode view, PickleBudget budget, long offset)
    {
        if (key.Length > MaxKeyLength)
        {
            throw Errors.BadPickle($"a storage key of {key.Length} characters", offset);
        }

        if (!TorchGlobals.TryGetStorageType(type, out var elements))
        {
            throw Errors.UnknownStorage(type.FullName, offset);
        }

        if (location == "meta")
        {
            throw Errors.UnsupportedTensor("meta (it has no bytes)", offset);
        }

        if (!count.TryGetInt64(out var total) || total < 0 || total > long.MaxValue / elements.ElementBytes)
        {
            throw Errors.BadStorageSize(key, count.Value, offset);
        }

        budget.Spend(PickleBudget.Storage + (2L * key.Length));
        var record = new ByteRange(0, total * elements.ElementBytes);
        return view switch
        {
            PickleNone => new(key, elements, record.Length, record),

            // (view key, offset, numel), as PyTorch wrote it before 0.4.
            PickleSequence { Items: [PickleText, PickleInteger first, PickleInteger size] }
                when first.TryGetInt64(out var from) && size.TryGetInt64(out var length) && new ByteRange(from, length).LiesWithin(total) =>
                new(key, elements, record.Length, new(from * elements.ElementBytes, length * elements.ElementBytes)),
            _ => throw Errors.BadPickle($"a view that does not lie within its storage `{key}`", offset),
        };
    }

    private static PickleObject Instance(PickleGlobal type, PickleNode arguments, PickleBudget budget)
    {
        budget.Spend(PickleBudget.Instance);
        return new(type, arguments);
    }

    private static PickleGlobal KnownRebuild(PickleGlobal function, long offset) =>
        TorchGlobals.Meaning(function) is TorchGlobal.RebuildTensor or TorchGlobal.RebuildTensorV3 or TorchGlobal.RebuildParameter
            or TorchGlobal.RebuildQuantised or TorchGlobal.RebuildSparse
            ? function
            : throw Errors.UnsupportedTensor($"rebuilt by `{function.FullName}`", offset);

    // What is copied may be copied again and again out of the memo: it is paid for each time, and never given back.
    private static PickleDict Dict(List<PickleNode> args, PickleGlobal global, PickleBudget budget, long offset)
    {
        budget.Spend(PickleBudget.Dict);
        var dict = new PickleDict();
        switch (args)
        {
            case []:
                return dict;
            case [PickleDict other]:
                budget.Grow(dict.Items, other.Items.Count, PickleBudget.Pair);
                dict.Items.AddRange(other.Items);
                break;
            case [PickleSequence pairs] when pairs.Items.TrueForAll(pair => pair is PickleSequence { Items.Count: 2 }):
                budget.Grow(dict.Items, pairs.Items.Count, PickleBudget.Pair);
                dict.Items.AddRange(pairs.Items.Cast<PickleSequence>().Select(pair => KeyValuePair.Create(pair.Items[0], pair.Items[1])));
                break;
            default:
                throw Errors.BadArguments(global.FullName, offset);
        }

        foreach (var (key, value) in dict.Items)
        {
            key.Share();
            value.Share();
        }

        dict.Share();
        return dict;
    }

    private static PickleSequence Sequence(PickleSequence.Kind kind, List<PickleNode> args, PickleGlobal global, PickleBudget budget, long offset)
    {
        budget.Spend(PickleBudget.Sequence);
        var sequence = new PickleSequence(kind, []);
        switch (args)
        {
            case []:
                return sequence;
            case [PickleSequence { Items: var items }]:
                budget.Grow(sequence.Items, items.Count, PickleBudget.Item);
                sequence.Items.AddRange(items);
                items.ForEach(item => item.Share());
                sequence.Share();
                return sequence;
            default:
                throw Errors.BadArguments(global.FullName, offset);
        }
    }

    private static PickleComplex Complex(List<PickleNode> args, PickleGlobal global, PickleBudget budget, long offset)
    {
        budget.Spend(PickleBudget.Number);
        return args is [PickleFloat real, PickleFloat imaginary] ? new(real.Value, imaginary.Value) : throw Errors.BadArguments(global.FullName, offset);
    }

    private static PickleText Device(List<PickleNode> args, PickleGlobal global, PickleBudget budget, long offset)
    {
        switch (args)
        {
            case [PickleText device]:
                return device;
            case [PickleText device, PickleInteger number] when number.TryGetInt64(out var index):
                var name = $"{device.Value}:{index}";
                budget.Spend(PickleBudget.CostOf(name));
                var text = new PickleText(name);
                text.Share();
                return text;
            default:
                throw Errors.BadArguments(global.FullName, offset);
        }
    }

    // bytearray(n) would make n bytes out of a number: only the forms that carry their bytes are known.
    private static PickleBytes ByteArray(List<PickleNode> args, PickleBudget budget, long offset) => args switch
    {
        [] => Encode([new PickleText(""), new PickleText("latin1")], budget, offset),
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

        budget.Spend(PickleBudget.Text + text.Length);
        return new(Encoding.Latin1.GetBytes(text));
    }
}
