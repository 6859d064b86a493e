namespace CloudShards.Formats.Torch;

/// <summary>
/// Counts what lies under each container of a pickle, each container once, so that a walk can know beforehand how much it will list: a
/// memo can make ten containers hold 10^30 paths. Counts saturate; a container that holds itself counts as nothing where it recurs, so that among
/// containers which hold each other a count may be too low.
/// </summary>
internal sealed class StateDictCensus
{
    private const long Many = long.MaxValue / 4;

    private readonly Dictionary<PickleNode, Tally> _tallies = new(ReferenceEqualityComparer.Instance);

    /// <summary>Counts.</summary>
    /// <exception cref="CheckpointFormatException">There are more containers than there may be tensors and values to lie in them.</exception>
    public StateDictCensus(PickleNode root, CheckpointLimits limits)
    {
        var most = (long)limits.MaxTensors + limits.MaxValues;
        // Post-order without recursion: a container is visited, its parts are, and on the second sight it is counted.
        var pending = new Stack<(PickleNode Node, bool PartsDone)>();
        var open = new HashSet<PickleNode>(ReferenceEqualityComparer.Instance);
        if (IsContainer(root))
        {
            pending.Push((root, false));
        }

        while (pending.TryPop(out var visit))
        {
            if (visit.PartsDone)
            {
                if (_tallies.Count == most)
                {
                    throw Errors.LimitExceeded("the number of containers", most + 1, most, nameof(limits.MaxValues));
                }

                _tallies[visit.Node] = Count(visit.Node);
                open.Remove(visit.Node);
            }
            else if (!_tallies.ContainsKey(visit.Node) && open.Add(visit.Node))
            {
                pending.Push((visit.Node, true));
                foreach (var part in Parts(visit.Node).Where(IsContainer))
                {
                    pending.Push((part, false));
                }
            }
        }
    }

    /// <summary>What lies under a node, or is it.</summary>
    public Tally this[PickleNode node] => node switch
    {
        TorchTensor or TorchStorage => new(1, 0, IsPlain: false),
        _ when IsContainer(node) => _tallies.GetValueOrDefault(node),
        _ => new(0, 1, IsPlain: true),
    };

    private static bool IsContainer(PickleNode node) => node is PickleDict or PickleSequence or PickleObject;

    private static IEnumerable<PickleNode> Parts(PickleNode container) => container switch
    {
        PickleDict dict => dict.Items.Select(item => item.Value),
        PickleSequence sequence => sequence.Items,
        PickleObject instance => instance.Parts,
        _ => [],
    };

    private Tally Count(PickleNode container)
    {
        var (tensors, values, plain) = (0L, 0L, container is PickleSequence);
        var empty = true;
        foreach (var part in Parts(container))
        {
            var tally = this[part];
            (tensors, values) = (Math.Min(Many, tensors + tally.Tensors), Math.Min(Many, values + tally.Values));
            plain &= tally.IsPlain;
            empty = false;
        }

        // What is empty, and an object that is not interpreted, whatever it holds, is itself a value.
        return new(tensors, empty || container is PickleObject ? 1 : values, plain);
    }

    /// <summary>What lies under a node.</summary>
    /// <param name="Tensors">Paths to tensors.</param>
    /// <param name="Values">Paths to other leaves.</param>
    /// <param name="IsPlain">Whether it is a leaf, or a list of lists of leaves: one JSON value.</param>
    internal readonly record struct Tally(long Tensors, long Values, bool IsPlain);
}
