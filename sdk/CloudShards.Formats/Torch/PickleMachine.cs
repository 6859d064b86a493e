namespace CloudShards.Formats.Torch;

/// <summary>
/// Runs a pickle as data. It has a stack, marks and a memo, all of <see cref="PickleNode"/>s; a global is a name, a call of one is a
/// lookup in <see cref="TorchGlobals"/>. Nothing named by the pickle is ever loaded, called or looked up anywhere else. Memory grows with the
/// pickle's length only, never with a number in it, and every object is paid for from a <see cref="PickleBudget"/>.
/// </summary>
internal ref partial struct PickleMachine
{
    private const int HighestProtocol = 5;

    // Most numbers of a checkpoint are sizes, strides and offsets below this.
    private static readonly PickleInteger[] SmallIntegers = [.. Enumerable.Range(0, 1025).Select(value => PickleInteger.Shared(value))];

    private readonly List<PickleNode> _stack = [];
    private readonly List<int> _marks = [];
    private readonly PickleMemo _memo;
    private readonly PickleBudget _budget;
    private readonly long _start;
    private readonly PersistentLoad _persistent;
    private PickleReader _reader;
    private long _at;

    private PickleMachine(ReadOnlySpan<byte> pickle, long start, CheckpointLimits limits, PersistentLoad persistent)
    {
        _reader = new(pickle, start);
        _start = start;
        _memo = PickleMemo.Of(pickle, limits);
        _budget = _memo.Budget;
        _persistent = persistent;
    }

    /// <summary>Runs a pickle to its STOP; bytes after STOP are not looked at.</summary>
    /// <param name="pickle">The pickle.</param>
    /// <param name="start">The byte of the file at which it begins.</param>
    /// <param name="limits">Bounds on what it makes.</param>
    /// <param name="persistent">What a persistent id stands for; null for those of <c>torch.save</c>.</param>
    /// <returns>What the pickle leaves, how many bytes it has, and what it may still take.</returns>
    public static (PickleNode Root, int Length, PickleBudget Budget) Run(
        ReadOnlySpan<byte> pickle, long start, CheckpointLimits limits, PersistentLoad? persistent = null)
    {
        var machine = new PickleMachine(pickle, start, limits, persistent ?? TorchObjects.Persistent);
        while (true)
        {
            machine._at = machine._reader.Offset;
            var opcode = machine._reader.ReadOpcode();
            if (opcode == PickleOpcode.Stop)
            {
                return (machine.Pop(), (int)(machine._reader.Offset - start), machine._budget);
            }

            machine.Step(opcode);
        }
    }

    private void Step(PickleOpcode opcode)
    {
        if (!TryLiteral(opcode) && !TryContainer(opcode) && !TryStackOrMemo(opcode) && !TryObject(opcode))
        {
            throw opcode is PickleOpcode.Float or PickleOpcode.String or PickleOpcode.Unicode or PickleOpcode.Get or PickleOpcode.Put
                ? Errors.OldOpcode(opcode, _at)
                : Enum.IsDefined(opcode) ? Errors.ForbiddenOpcode(opcode, _at) : Errors.UnknownOpcode((byte)opcode, _at);
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
            PickleOpcode.Long1 => Integer(_reader.ReadLong(_reader.ReadByte())),
            PickleOpcode.Long4 => Integer(_reader.ReadLong(_reader.ReadSignedLength())),
            PickleOpcode.Int when _reader.TryReadBoolean(out var truth) => truth ? PickleBool.True : PickleBool.False,
            PickleOpcode.Int => Integer(_reader.ReadDecimal(isLong: false)),
            PickleOpcode.Long => Integer(_reader.ReadDecimal(isLong: true)),
            PickleOpcode.BinFloat => Float(_reader.ReadDouble()),
            PickleOpcode.ShortBinUnicode => Text(_reader.ReadText(_reader.ReadByte())),
            PickleOpcode.BinUnicode => Text(_reader.ReadText(_reader.ReadUInt32())),
            PickleOpcode.BinUnicode8 => Text(_reader.ReadText(_reader.ReadUInt64())),
            PickleOpcode.ShortBinString => Text(_reader.ReadPython2String(_reader.ReadByte())),
            PickleOpcode.BinString => Text(_reader.ReadPython2String(_reader.ReadSignedLength())),
            PickleOpcode.ShortBinBytes => Bytes(_reader.ReadBytes(_reader.ReadByte())),
            PickleOpcode.BinBytes => Bytes(_reader.ReadBytes(_reader.ReadUInt32())),
            PickleOpcode.BinBytes8 or PickleOpcode.ByteArray8 => Bytes(_reader.ReadBytes(_reader.ReadUInt64())),
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
                _budget.Grow(_marks, 1, sizeof(int));
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
                var twice = Item();
                twice.Share();
                Push(twice);
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

                // Its texts may come out of the memo, so that one of a thousand characters is made by a few bytes, again and again.
                PushGlobal(module.Value, name.Value);
                Top().Share();
                return true;
            case PickleOpcode.Reduce or PickleOpcode.NewObj:
                var (arguments, callable) = (Pop(), Pop());
                PushResult(TorchObjects.Create(callable, arguments, _budget, _at), arguments, callable);
                return true;
            case PickleOpcode.NewObjEx:
                var parts = PopLast(3);
                var instance = TorchObjects.Create(parts[0], parts[1], _budget, _at);
                if (instance is PickleObject inert)
                {
                    _budget.Grow(inert.Parts, 1, PickleBudget.Item);
                    inert.Parts.Add(parts[2]);
                }

                Push(instance);
                return true;
            case PickleOpcode.Build:
                var state = Pop();
                TorchObjects.Build(Top(), state, _budget, _at);
                return true;
            case PickleOpcode.BinPersId:
                var id = Pop();
                PushResult(_persistent(id, _budget, _at), id);
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
                _budget.Grow(sequence.Items, items.Count, PickleBudget.Item);
                sequence.Items.AddRange(items);
                break;
            case PickleObject instance:
                _budget.Grow(instance.Parts, items.Count, PickleBudget.Item);
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

        switch (target)
        {
            case PickleDict dict:
                _budget.Grow(dict.Items, items.Count / 2, PickleBudget.Pair);
                break;
            case PickleObject instance:
                _budget.Grow(instance.Parts, items.Count, PickleBudget.Item);
                break;
            default:
                throw Errors.BadPickle($"an item is set on a {Name(target)}", _at);
        }

        for (var i = 0; i < items.Count; i += 2)
        {
            if (items[i] is PickleDict or PickleSequence { Is: not PickleSequence.Kind.Tuple })
            {
                throw Errors.BadPickle($"a {Name(items[i])} as a key", _at);
            }

            if (target is PickleDict dict)
            {
                dict.Items.Add(new(items[i], items[i + 1]));
            }
            else if (target is PickleObject instance)
            {
                instance.Parts.Add(items[i]);
                instance.Parts.Add(items[i + 1]);
            }
        }
    }

    private static string Name(PickleNode node) => node.GetType().Name.Replace("Pickle", "", StringComparison.Ordinal).ToLowerInvariant();
}

/// <summary>Tells what a persistent id stands for.</summary>
/// <param name="id">The id.</param>
/// <param name="budget">Pays for what is made of it.</param>
/// <param name="offset">Where it is used.</param>
internal delegate PickleNode PersistentLoad(PickleNode id, PickleBudget budget, long offset);
