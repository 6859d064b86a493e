using System.Globalization;
using System.Text;

namespace CloudShards.Formats.Torch;

/// <summary>
/// Flattens what a pickle holds into named tensors and named values: keys joined by dots, in the pickle's order. It does not recurse, does not
/// enter a container within itself, and stops early where what it will list is known to be out of bounds, else at the bounds.
/// </summary>
internal sealed class StateDictWalk
{
    private const int ExpandedBytesOfLeaf = 4;

    private readonly CheckpointLimits _limits;
    private readonly PickleBudget _budget;
    private readonly StateDictCensus _census;
    private readonly TorchModules _modules;
    private readonly HashSet<string> _tensorNames = new(StringComparer.Ordinal);
    private readonly PickleValues _values;
    private readonly StringBuilder _path = new();
    private readonly int _pickleBytes;
    private long _containers;
    private long _children;
    private long _nameLength;

    private StateDictWalk(PickleNode root, int pickleBytes, PickleBudget budget)
    {
        var limits = budget.Limits;
        _pickleBytes = pickleBytes;
        (_limits, _budget, _census, _values) = (limits, budget, new(root, limits), new(limits, pickleBytes));
        _modules = new(_census, budget);
        var total = _census[root];
        BoundTensors(total.Tensors);
        BoundValues(total.Values);

        // A leaf that is not shared takes two bytes of the pickle at least, and its key more. Far more leaves come from containers that are listed under
        // many names, and each has a name and an entry here.
        var leavesPerByte = Math.Max(1, limits.MaxExpansion / ExpandedBytesOfLeaf);
        if (total.Tensors + total.Values > (long)pickleBytes * leavesPerByte)
        {
            throw Errors.SharedTooOften(total.Tensors + total.Values, pickleBytes, leavesPerByte);
        }
    }

    /// <summary>The tensors, in the pickle's order; no two have one name.</summary>
    public List<(string Name, TorchTensor Tensor)> Tensors { get; } = [];

    /// <summary>Those of them that are quantised. How is not among the values yet: scales may have to be read first.</summary>
    public List<(string Name, TorchQuantised Tensor)> Quantised { get; } = [];

    /// <summary>All tensors whose bytes are needed: <see cref="Tensors"/>, and the scales and zero points of those that are quantised.</summary>
    public IEnumerable<(string Name, TorchTensor Tensor)> AllTensors => Tensors.Concat(
        from quantised in Quantised
        from node in (PickleNode[])[quantised.Tensor.Scale, quantised.Tensor.ZeroPoint]
        where node is TorchTensor
        select (quantised.Name, (TorchTensor)node));

    /// <summary>Everything else.</summary>
    public PickleValues Values => _values;

    /// <summary>Lists all tensors and values under <paramref name="root"/>.</summary>
    /// <param name="root">What a pickle left.</param>
    /// <param name="pickleBytes">Bytes of that pickle.</param>
    /// <param name="budget">Pays for what is listed, and has the bounds on it.</param>
    public static StateDictWalk Run(PickleNode root, int pickleBytes, PickleBudget budget)
    {
        var walk = new StateDictWalk(root, pickleBytes, budget);
        walk.Walk(root);
        return walk;
    }

    private void Walk(PickleNode root)
    {
        var frames = new Stack<Frame>();
        var ancestors = new HashSet<PickleNode>(ReferenceEqualityComparer.Instance);
        Enter(root);
        while (frames.TryPeek(out var frame))
        {
            _path.Length = frame.PathLength;
            if (!frame.Children.MoveNext())
            {
                ancestors.Remove(frame.Container);
                frames.Pop();
                continue;
            }

            BoundChildren();
            var (key, child) = frame.Children.Current;
            _path.Append(frame.IsRoot ? "" : ".").Append(key);
            BoundNames(key.Length + 1);
            if (_path.Length > _limits.MaxNameLength)
            {
                throw Errors.LimitExceeded("the characters of a name", _path.Length, _limits.MaxNameLength, nameof(_limits.MaxNameLength));
            }

            Enter(child);
        }

        void Enter(PickleNode node)
        {
            if (ancestors.Contains(node))
            {
                return;
            }

            if (Children(node) is not { } children)
            {
                Leaf(node);
            }
            else
            {
                ancestors.Add(node);
                BoundContainers();
                if (node is TorchSparse)
                {
                    _values.Add(_path.ToString(), node);
                }

                if (frames.Count == _limits.MaxDepth)
                {
                    throw Errors.LimitExceeded("the containers within containers", frames.Count + 1L, _limits.MaxDepth, nameof(_limits.MaxDepth));
                }

                frames.Push(new(node, children.GetEnumerator(), _path.Length, frames.Count == 0));
            }
        }
    }

    // The named parts of a container to go into, or null where the node is listed as a whole.
    private IEnumerable<(string Key, PickleNode Child)>? Children(PickleNode node) => node switch
    {
        PickleDict { Items.Count: > 0 } dict => dict.Items.Select(item => (KeyText(item.Key), item.Value)),
        PickleSequence sequence when !_census[node].IsPlain => sequence.Items.Select((item, index) => (index.ToString(CultureInfo.InvariantCulture), item)),
        TorchSparse sparse => sparse.Parts.Select(part => (part.Name, part.Tensor)),
        PickleObject instance when _census[node].Tensors > 0 => _modules.Parts(instance, _path),
        _ => null,
    };

    private void Leaf(PickleNode node)
    {
        BoundNames(_path.Length);
        _budget.SpendOnList(PickleBudget.Listed + (2L * _path.Length));
        var name = _path.ToString();
        switch (node)
        {
            case TorchTensor tensor:
                if (!_tensorNames.Add(name))
                {
                    throw Errors.NameCollision(name, "tensors");
                }

                Tensors.Add((name, tensor));
                BoundTensors(Tensors.Count);
                break;
            case TorchStorage:
                throw Errors.BareStorage(name);
            case TorchQuantised quantised:
                Leaf(quantised.Data);
                Quantised.Add((name, quantised));
                break;
            default:
                _values.Add(name, node);
                BoundValues(_values.Count);
                break;
        }
    }

    private void BoundTensors(long tensors)
    {
        if (tensors > _limits.MaxTensors)
        {
            throw Errors.LimitExceeded("the number of tensors", tensors, _limits.MaxTensors, nameof(_limits.MaxTensors));
        }
    }

    private void BoundValues(long values)
    {
        if (values > _limits.MaxValues)
        {
            throw Errors.LimitExceeded("the number of values", values, _limits.MaxValues, nameof(_limits.MaxValues));
        }
    }

    // Containers that hold each other can be entered in as many orders as they have, and nothing be found in most of them.
    private void BoundContainers()
    {
        var most = (long)_limits.MaxTensors + _limits.MaxValues;
        _containers++;
        if (_containers > most)
        {
            throw Errors.LimitExceeded("the containers on all paths", _containers, most, nameof(_limits.MaxValues));
        }
    }

    // A container that is met again within itself is passed over, and may be met as often as it holds itself.
    private void BoundChildren()
    {
        const int AlwaysAllowed = 64 << 10;
        var most = Math.Min(2 * ((long)_limits.MaxTensors + _limits.MaxValues), AlwaysAllowed + ((long)_pickleBytes * _limits.MaxExpansion));
        _children++;
        if (_children > most)
        {
            throw Errors.LimitExceeded("the items on all paths", _children, most, nameof(_limits.MaxValues));
        }
    }

    private void BoundNames(int length)
    {
        _nameLength += length;
        if (_nameLength > _limits.MaxTotalNameLength)
        {
            throw Errors.LimitExceeded("the characters of all names", _nameLength, _limits.MaxTotalNameLength, nameof(_limits.MaxTotalNameLength));
        }
    }

    private string KeyText(PickleNode key) => key switch
    {
        PickleText text => text.Value,
        PickleInteger integer => integer.Value.ToString(CultureInfo.InvariantCulture),
        PickleBool boolean => boolean.Value ? "True" : "False",
        PickleNone => "None",
        PickleFloat number => number.Value.ToString("R", CultureInfo.InvariantCulture),
        _ => throw Errors.UnsupportedKey(_path.ToString()),
    };

    private sealed record Frame(PickleNode Container, IEnumerator<(string Key, PickleNode Child)> Children, int PathLength, bool IsRoot);
}
