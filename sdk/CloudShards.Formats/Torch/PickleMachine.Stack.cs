using System.Numerics;

namespace CloudShards.Formats.Torch;

/// <content>The stack, its marks and the memo; and what is pushed, which is paid for here.</content>
internal ref partial struct PickleMachine
{
    private readonly void Push(PickleNode node)
    {
        if (_stack.Count == _stack.Capacity)
        {
            _budget.Grow(_stack, 1, PickleBudget.Item);
        }

        _stack.Add(node);
    }

    // What a rebuild function, a persistent id or an empty constructor was given is garbage once it has run, but for what the result holds.
    private readonly void PushResult(PickleNode result, PickleNode arguments, PickleNode? callable = null)
    {
        if (result is TorchTensor or TorchStorage or PickleDict && arguments is PickleSequence { Items: var items } && (result is not PickleDict || items.Count == 0))
        {
            _budget.Release(arguments);
            _budget.Release(callable ?? PickleNone.Instance);
        }

        Push(result);
    }

    private readonly void Remember(uint slot) => _memo.Put(slot, Item(), _reader.Offset - _start, _at);

    private readonly PickleNode Recall(uint slot) => _memo.Get(slot) ?? throw Errors.BadPickle($"the memo has no slot {slot}", _at);

    private readonly void PushSequence(PickleSequence.Kind kind, List<PickleNode> items)
    {
        _budget.Spend(PickleBudget.Sequence + (items.Count == 0 ? 0 : PickleBudget.Array + ((long)items.Capacity * PickleBudget.Item)));
        Push(new PickleSequence(kind, items));
    }

    private readonly PickleDict PushDict()
    {
        _budget.Spend(PickleBudget.Dict);
        var dict = new PickleDict();
        Push(dict);
        return dict;
    }

    private readonly void PushGlobal(string module, string name)
    {
        _budget.Spend(PickleBudget.CostOf(module, name));
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

    private readonly PickleInteger Integer(long value) => value >= 0 && value < SmallIntegers.Length ? SmallIntegers[value] : Integer(new BigInteger(value));

    private readonly PickleInteger Integer(BigInteger value)
    {
        // A long one's digits are beside it.
        _budget.Spend(PickleBudget.Number + (value.GetByteCount() > sizeof(int) ? PickleBudget.Array + value.GetByteCount() : 0));
        return new(value);
    }

    private readonly PickleFloat Float(double value)
    {
        _budget.Spend(PickleBudget.Number);
        return new(value);
    }

    private readonly PickleText Text(string value)
    {
        _budget.Spend(PickleBudget.CostOf(value));
        return new(value);
    }

    private readonly PickleBytes Bytes(byte[] value)
    {
        _budget.Spend(PickleBudget.Text + value.Length);
        return new(value);
    }
}
