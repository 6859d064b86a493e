using System.Numerics;

namespace CloudShards.Formats.Torch;

/// <summary>
/// Runs a pickle as data. It has a stack, marks and a memo, all of <see cref="PickleNode"/>s; a global is a name, a call of one is a
/// lookup in <see cref="TorchGlobals"/>. Nothing named by the pickle is ever loaded, called or looked up anywhere else. Memory grows with the
/// pickle's length only, never with a number in it, and is bounded by a <see cref="PickleBudget"/>.
/// </summary>
internal ref struct PickleMachine
{
    private const int HighestProtocol = 5;

    // Most numbers of a checkpoint are sizes, strides and offsets below this.
    private static readonly PickleInteger[] SmallIntegers = [.. Enumerable.Range(0, 1025).Select(value => new PickleInteger(value))];

    private readonly List<PickleNode> _stack = [];
    private readonly List<int> _marks = [];
    private readonly Dictionary<uint, PickleNode> _memo = [];
    private readonly PickleBudget _budget;
    private readonly PersistentLoad _persistent;
    private PickleReader _reader;
    private long _at;

    private PickleMachine(ReadOnlySpan<byte> pickle, long start, CheckpointLimits limits, PersistentLoad persistent)
    {
        _reader = new(pickle, start);
        _budget = new(limits);
        _persistent = persistent;
    }

    /// <summary>Runs a pickle to its STOP; bytes after STOP are not looked at.</summary>
    /// <param name="pickle">The pickle.</param>
    /// <param name="start">The byte of the file at which it begins.</param>
    /// <param name="limits">Bounds on what it makes.</param>
    /// <param name="persistent">What a persistent id stands for; null for those of <c>torch.save</c>.</param>
    /// <returns>What the pickle leaves, and how many bytes it has.</returns>
    public static (PickleNode Root, int Length) Run(
        ReadOnlySpan<byte> pickle, long start, CheckpointLimits limits, PersistentLoad? persistent = null)
    {
        var machine = new PickleMachine(pickle, start, limits, persistent ?? TorchObjects.Persistent);
        while (true)
        {
            machine._at = machine._reader.Offset;
            var opcode = machine._reader.ReadOpcode();
            if (opcode == PickleOpcode.Stop)
            {
                return (machine.Pop(), (int)(machine._reader.Offset - start));
            }

            machine.Step(opcode);
        }
    }

    private void Step(PickleOpcode opcode)
    {
        if (!TryLiteral(opcode) && !TryContainer(opcode) && !TryStackOrMemo(opcode) && !TryObject(opcode))
        {
            throw Enum.IsDefined(opcode) ? Errors.ForbiddenOpcode(opcode, _at) : Errors.UnknownOpcode((byte)opcode, _at);
        }
    }

    private bool TryLiteral(PickleOpcode opcode)
    {
        PickleNode? literal = opcode switch
        {
            PickleOpcode.None => PickleNone.Instance,
            PickleOpcode.NewTrue => PickleBool.True,
            PickleOpcode.NewFalse => PickleBool.False,
            PickleOpcode.BinInt => Integer(_reader.ReadInt32()),
            PickleOpcode.BinInt1 => Integer(_reader.ReadByte()),
            PickleOpcode.BinInt2 => Integer(_reader.ReadUInt16()),
            PickleOpcode.Long1 => new PickleInteger(_reader.ReadLong(_reader.ReadByte())),
            PickleOpcode.Long4 => new PickleInteger(_reader.ReadLong(_reader.ReadSignedLength())),
            PickleOpcode.Int when _reader.TryReadBoolean(out var truth) => truth ? PickleBool.True : PickleBool.False,
            PickleOpcode.Int => new PickleInteger(_reader.ReadDecimal(isLong: false)),
            PickleOpcode.Long => new PickleInteger(_reader.ReadDecimal(isLong: true)),
            PickleOpcode.BinFloat => new PickleFloat(_reader.ReadDouble()),
            PickleOpcode.ShortBinUnicode => new PickleText(_reader.ReadText(_reader.ReadByte())),
            PickleOpcode.BinUnicode => new PickleText(_reader.ReadText(_reader.ReadUInt32())),
            PickleOpcode.BinUnicode8 => new PickleText(_reader.ReadText(_reader.ReadUInt64())),
            PickleOpcode.ShortBinString => new PickleText(_reader.ReadPython2String(_reader.ReadByte())),
            PickleOpcode.BinString => new PickleText(_reader.ReadPython2String(_reader.ReadSignedLength())),
            PickleOpcode.ShortBinBytes => new PickleBytes(_reader.ReadBytes(_reader.ReadByte())),
            PickleOpcode.BinBytes => new PickleBytes(_reader.ReadBytes(_reader.ReadUInt32())),
            PickleOpcode.BinBytes8 or PickleOpcode.ByteArray8 => new PickleBytes(_reader.ReadBytes(_reader.ReadUInt64())),
            _ => null,
        };
        if (literal is not null)
        {
            Push(literal);
        }

        return literal is not null;
    }

    private bool TryContainer(PickleOpcode opcode)
    {
        switch (opcode)
        {
            case PickleOpcode.EmptyDict:
                PushDict();
                return true;
            case PickleOpcode.EmptyList:
                PushSequence(PickleSequence.Kind.List, []);
                return true;
            case PickleOpcode.EmptyTuple:
                PushSequence(PickleSequence.Kind.Tuple, []);
                return true;
            case PickleOpcode.EmptySet:
                PushSequence(PickleSequence.Kind.Set, []);
                return true;
            case PickleOpcode.Tuple1 or PickleOpcode.Tuple2 or PickleOpcode.Tuple3:
                PushSequence(PickleSequence.Kind.Tuple, PopLast(opcode - PickleOpcode.Tuple1 + 1));
                return true;
            case PickleOpcode.Tuple:
                PushSequence(PickleSequence.Kind.Tuple, PopToMark());
                return true;
            case PickleOpcode.List:
                PushSequence(PickleSequence.Kind.List, PopToMark());
                return true;
            case PickleOpcode.FrozenSet:
                PushSequence(PickleSequence.Kind.Set, PopToMark());
                return true;
            case PickleOpcode.Dict:
                var items = PopToMark();
                SetItems(PushDict(), items);
                return true;
            case PickleOpcode.Append:
                AddItems(PopLast(1));
                return true;
            case PickleOpcode.Appends or PickleOpcode.AddItems:
                AddItems(PopToMark());
                return true;
            case PickleOpcode.SetItem:
                var pair = PopLast(2);
                SetItems(Top(), pair);
                return true;
            case PickleOpcode.SetItems:
                var pairs = PopToMark();
                SetItems(Top(), pairs);
                return true;
            default:
                return false;
        }
    }

    private bool TryStackOrMemo(PickleOpcode opcode)
    {
        switch (opcode)
        {
            case PickleOpcode.Mark:
                _marks.Add(_stack.Count);
                Push(PickleMark.Instance);
                return true;
            case PickleOpcode.Pop when Top() is PickleMark:
            case PickleOpcode.PopMark:
                PopToMark();
                return true;
            case PickleOpcode.Pop:
                Pop();
                return true;
            case PickleOpcode.Dup:
                Push(Item());
                return true;
            case PickleOpcode.BinPut:
                Remember(_reader.ReadByte());
                return true;
            case PickleOpcode.LongBinPut:
                Remember(_reader.ReadUInt32());
                return true;
            case PickleOpcode.Memoize:
                Remember((uint)_memo.Count);
                return true;
            case PickleOpcode.BinGet:
                Push(Recall(_reader.ReadByte()));
                return true;
            case PickleOpcode.LongBinGet:
                Push(Recall(_reader.ReadUInt32()));
                return true;
            case PickleOpcode.Proto:
                var protocol = _reader.ReadByte();
                return protocol <= HighestProtocol ? true : throw Errors.UnknownProtocol(protocol, _at);
            case PickleOpcode.Frame:
                // A frame's length helps readers of streams; here all bytes are at hand.
                _reader.ReadUInt64();
                return true;
            default:
                return false;
        }
    }

    private bool TryObject(PickleOpcode opcode)
    {
        switch (opcode)
        {
            case PickleOpcode.Global:
                PushGlobal(_reader.ReadTextLine(), _reader.ReadTextLine());
                return true;
            case PickleOpcode.StackGlobal:
                var names = PopLast(2);
                if (names is not [PickleText module, PickleText name])
                {
                    throw Errors.BadPickle("STACK_GLOBAL wants two texts", _at);
                }

                PushGlobal(module.Value, name.Value);
                return true;
            case PickleOpcode.Reduce or PickleOpcode.NewObj:
                var call = PopLast(2);
                Push(TorchObjects.Create(call[0], call[1], _budget, _at));
                return true;
            case PickleOpcode.NewObjEx:
                var parts = PopLast(3);
                var instance = TorchObjects.Create(parts[0], parts[1], _budget, _at);
                (instance as PickleObject)?.Parts.Add(parts[2]);
                Push(instance);
                return true;
            case PickleOpcode.Build:
                var state = Pop();
                TorchObjects.Build(Top(), state, _at);
                return true;
            case PickleOpcode.BinPersId:
                Push(_persistent(Pop(), _at));
                return true;
            default:
                return false;
        }
    }

    private readonly void AddItems(List<PickleNode> items)
    {
        switch (Top())
        {
            case PickleSequence { Is: not PickleSequence.Kind.Tuple } sequence:
                sequence.Items.AddRange(items);
                break;
            case PickleObject instance:
                instance.Parts.AddRange(items);
                break;
            case var other:
                throw Errors.BadPickle($"items are added to a {Name(other)}", _at);
        }
    }

    private readonly void SetItems(PickleNode target, List<PickleNode> items)
    {
        if (items.Count % 2 != 0)
        {
            throw Errors.BadPickle("a key without a value", _at);
        }

        for (var i = 0; i < items.Count; i += 2)
        {
            if (items[i] is PickleDict or PickleSequence { Is: not PickleSequence.Kind.Tuple })
            {
                throw Errors.BadPickle($"a {Name(items[i])} as a key", _at);
            }

            switch (target)
            {
                case PickleDict dict:
                    dict.Items.Add(new(items[i], items[i + 1]));
                    break;
                case PickleObject instance:
                    instance.Parts.AddRange([items[i], items[i + 1]]);
                    break;
                default:
                    throw Errors.BadPickle($"an item is set on a {Name(target)}", _at);
            }
        }
    }

    private readonly void Push(PickleNode node)
    {
        _budget.Spend(1);
        _stack.Add(node);
    }

    private readonly void Remember(uint slot)
    {
        _budget.Spend(1);
        _memo[slot] = Item();
    }

    private readonly PickleNode Recall(uint slot) =>
        _memo.TryGetValue(slot, out var node) ? node : throw Errors.BadPickle($"the memo has no slot {slot}", _at);

    private readonly void PushSequence(PickleSequence.Kind kind, List<PickleNode> items)
    {
        _budget.Spend(PickleBudget.Container);
        Push(new PickleSequence(kind, items));
    }

    private readonly PickleDict PushDict()
    {
        _budget.Spend(PickleBudget.Container);
        var dict = new PickleDict();
        Push(dict);
        return dict;
    }

    private readonly void PushGlobal(string module, string name)
    {
        _budget.Spend(PickleBudget.Global);
        Push(TorchGlobals.Admit(new(module, name), _at));
    }

    private readonly PickleNode Top() => _stack.Count > 0 ? _stack[^1] : throw Errors.BadPickle("the stack is empty", _at);

    // A mark is a place, not a value: it can be neither copied nor remembered.
    private readonly PickleNode Item() => Top() is var top and not PickleMark ? top : throw Errors.BadPickle("a mark where a value should be", _at);

    private readonly PickleNode Pop()
    {
        if (_stack.Count == Floor())
        {
            throw Errors.BadPickle("the stack is empty", _at);
        }

        var top = _stack[^1];
        _stack.RemoveAt(_stack.Count - 1);
        return top;
    }

    private readonly List<PickleNode> PopLast(int count)
    {
        return _stack.Count - count >= Floor() ? TakeFrom(_stack.Count - count) : throw Errors.BadPickle("the stack is empty", _at);
    }

    // What lies under the last mark cannot be reached.
    private readonly int Floor() => _marks.Count > 0 ? _marks[^1] + 1 : 0;

    private readonly List<PickleNode> PopToMark()
    {
        if (_marks.Count == 0)
        {
            throw Errors.BadPickle("there is no mark on the stack", _at);
        }

        var items = TakeFrom(_marks[^1] + 1);
        _stack.RemoveAt(_marks[^1]);
        _marks.RemoveAt(_marks.Count - 1);
        return items;
    }

    private readonly List<PickleNode> TakeFrom(int index)
    {
        var items = _stack.GetRange(index, _stack.Count - index);
        _stack.RemoveRange(index, items.Count);
        return items;
    }

    private static PickleInteger Integer(long value) => value >= 0 && value < SmallIntegers.Length ? SmallIntegers[value] : new(new BigInteger(value));

    private static string Name(PickleNode node) => node.GetType().Name.Replace("Pickle", "", StringComparison.Ordinal).ToLowerInvariant();
}

/// <summary>Tells what a persistent id stands for.</summary>
/// <param name="id">The id.</param>
/// <param name="offset">Where it is used.</param>
internal delegate PickleNode PersistentLoad(PickleNode id, long offset);
