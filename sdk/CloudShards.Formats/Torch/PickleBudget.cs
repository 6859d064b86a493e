namespace CloudShards.Formats.Torch;

/// <summary>
/// The memory that a pickle, and the list of what it holds, may still take. Whatever is made is paid for at what it takes on the heap
/// at most; what is certain to be garbage is paid back. A value that was remembered can be named in two bytes and copied in a few more, so that
/// the pickle's length alone would bound nothing.
/// </summary>
/// <param name="limits">The bounds.</param>
/// <param name="pickleBytes">Bytes of the pickle.</param>
internal sealed class PickleBudget(CheckpointLimits limits, long pickleBytes)
{
    /// <summary>A list, tuple or set without its items, and what a census notes of it.</summary>
    public const int Sequence = 144;

    /// <summary>A dictionary without its items, and what a census notes of it.</summary>
    public const int Dict = 120;

    /// <summary>An item of a list, tuple or set.</summary>
    public const int Item = 8;

    /// <summary>An item of a dictionary.</summary>
    public const int Pair = 16;

    /// <summary>An array, of a list for instance, without its items.</summary>
    public const int Array = 24;

    /// <summary>A number of any kind.</summary>
    public const int Number = 48;

    /// <summary>A text or bytes, without their characters.</summary>
    public const int Text = 64;

    /// <summary>The name of a class or function, without its characters.</summary>
    public const int Global = 160;

    /// <summary>An instance that is not interpreted.</summary>
    public const int Instance = 200;

    /// <summary>A TorchStorage, without the characters of its key.</summary>
    public const int Storage = 136;

    /// <summary>A tensor without dimensions.</summary>
    public const int Tensor = 200;

    /// <summary>Each of a tensor's dimensions.</summary>
    public const int Dimension = 16;

    /// <summary>A tensor or value in the list, without the characters of its name.</summary>
    public const int Listed = 232;

    // The smallest pickles have tables of a fixed size.
    private const int AlwaysAllowed = 1 << 20;

    private readonly long _allowed = Math.Min(limits.MaxPickleMemory, AlwaysAllowed + (pickleBytes * limits.MaxPickleGrowth));
    private readonly Stack<PickleNode> _dropped = new();
    private long _spent;

    public CheckpointLimits Limits { get; } = limits;

    /// <summary>Pays for what the pickle makes.</summary>
    /// <exception cref="CheckpointFormatException">It is more than the limits allow.</exception>
    public void Spend(long bytes)
    {
        _spent += bytes;
        if (_spent > _allowed)
        {
            throw _spent > Limits.MaxPickleMemory
                ? Errors.LimitExceeded("the memory that the pickle takes", _spent, Limits.MaxPickleMemory, nameof(Limits.MaxPickleMemory))
                : Errors.LimitExceeded(
                    $"the memory that a pickle of {pickleBytes:N0} bytes takes", _spent, _allowed, nameof(Limits.MaxPickleGrowth));
        }
    }

    /// <summary>Pays for something in the list of what the pickle holds, which may name one thing often.</summary>
    /// <exception cref="CheckpointFormatException">It is more than <see cref="CheckpointLimits.MaxPickleMemory"/>.</exception>
    public void SpendOnList(long bytes)
    {
        _spent += bytes;
        if (_spent > Limits.MaxPickleMemory)
        {
            throw Errors.LimitExceeded("the memory that the pickle's contents take", _spent, Limits.MaxPickleMemory, nameof(Limits.MaxPickleMemory));
        }
    }

    /// <summary>Makes room in a list for more items, and pays for it where the list must grow.</summary>
    public void Grow<T>(List<T> list, int more, int itemBytes)
    {
        var needed = (long)list.Count + more;
        if (needed > list.Capacity)
        {
            var capacity = (int)Math.Min(System.Array.MaxLength, Math.Max(needed, 2L * list.Capacity));
            Spend(Array + ((long)capacity * itemBytes));
            list.Capacity = capacity;
        }
    }

    /// <summary>Gives back what a value cost that nothing refers to any more, and what its parts cost that nothing else refers to.</summary>
    public void Release(PickleNode dropped)
    {
        if (dropped.IsShared)
        {
            return;
        }

        _dropped.Push(dropped);
        while (_dropped.TryPop(out var node))
        {
            if (!node.IsShared)
            {
                _spent -= Drop(node);
            }
        }
    }

    /// <summary>What a text costs.</summary>
    public static long CostOf(string text) => Text + (2L * text.Length);

    /// <summary>What the name of a class or function costs.</summary>
    public static long CostOf(string module, string name) => Global + (4L * (module.Length + name.Length));

    // A part is met once only: it has one place, or it would be shared.
    private long Drop(PickleNode node)
    {
        switch (node)
        {
            case PickleSequence sequence:
                foreach (var item in sequence.Items)
                {
                    _dropped.Push(item);
                }

                return Sequence + Cost(sequence.Items, Item);
            case PickleDict dict:
                foreach (var (key, value) in dict.Items)
                {
                    _dropped.Push(key);
                    _dropped.Push(value);
                }

                return Dict + Cost(dict.Items, Pair);
            case PickleInteger or PickleFloat:
                return Number;
            case PickleText text:
                return CostOf(text.Value);
            case PickleGlobal global:
                return CostOf(global.Module, global.Name);
            default:
                return 0;
        }
    }

    private static long Cost<T>(List<T> items, int itemBytes) => items.Capacity == 0 ? 0 : Array + ((long)items.Capacity * itemBytes);
}
