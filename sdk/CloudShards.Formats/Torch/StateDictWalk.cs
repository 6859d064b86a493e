using System.Globalization;
using System.Text;

namespace CloudShards.Formats.Torch;

/// <summary>
/// Flattens what a pickle holds into named tensors and named values: keys joined by dots, in the pickle's order. It does not recurse, does not
/// enter a container within itself, and stops early where what it will list is known to be out of bounds, else at the bounds.
/// </summary>
internal sealed class StateDictWalk
{
    private readonly CheckpointLimits _limits;
    private readonly StateDictCensus _census;
    private readonly HashSet<string> _tensorNames = new(StringComparer.Ordinal);
    private readonly PickleValues _values;
    private readonly StringBuilder _path = new();
    private long _containers;
    private long _nameLength;

    private StateDictWalk(PickleNode root, CheckpointLimits limits)
    {
        (_limits, _census, _values) = (limits, new(root, limits), new(limits));
        var total = _census[root];
        BoundTensors(total.Tensors);
        BoundValues(total.Values);
    }

    private List<(string Name, TorchTensor Tensor)> Tensors { get; } = [];

    /// <summary>Lists all tensors and values under <paramref name="root"/>.</summary>
    public static (List<(string Name, TorchTensor Tensor)> Tensors, PickleValues Values) Run(PickleNode root, CheckpointLimits limits)
    {
        var walk = new StateDictWalk(root, limits);
        walk.Walk(root);
        return (walk.Tensors, walk._values);
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
            if (Children(node) is not { } children)
            {
                Leaf(node);
            }
            else if (ancestors.Add(node))
            {
                BoundContainers();
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
        _ => null,
    };

    private void Leaf(PickleNode node)
    {
        BoundNames(_path.Length);
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
            case PickleObject instance when _census[instance].Tensors > 0:
                throw Errors.TensorInObject(name, instance.Type.FullName);
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
