namespace CloudShards.Formats.Torch;

/// <summary>
/// Counts what lies under each container of a pickle, each container once, so that a walk can know beforehand how much it will list: a
/// memo can make ten containers hold 10^30 paths. Counts saturate; a container that holds itself counts as nothing where it recurs, so that among
/// containers which hold each other a count may be too low.
/// </summary>
internal sealed class StateDictCensus
{
    private const long Many = long.MaxValue / 4;

    // A container's PickleNode.Tally: 0 before it is met, this while its parts are looked at, then its place in the list and one.
    private const int Open = -1;

    private readonly List<Tally> _tallies = [];

    /// <summary>Counts. A pickle can be counted once.</summary>
    /// <exception cref="CheckpointFormatException">There are more containers than there may be tensors and values to lie in them.</exception>
    public StateDictCensus(PickleNode root, CheckpointLimits limits)
    {
        // Post-order without recursion: each frame is a container and how many of its parts were looked at.
        var frames = new Stack<(PickleNode Node, int Next)>();
        if (IsContainer(root))
        {
            root.Tally = Open;
            frames.Push((root, 0));
        }

        while (frames.TryPop(out var frame))
        {
            var (node, next) = frame;
            var inner = (PickleNode?)null;
            for (var parts = PartCount(node); inner is null && next < parts; next++)
            {
                inner = Part(node, next) is var part && IsContainer(part) && part.Tally == 0 ? part : null;
            }

            if (inner is null)
            {
                Close(node, limits);
                continue;
            }

            inner.Tally = Open;
            frames.Push((node, next));
            frames.Push((inner, 0));
        }
    }

    /// <summary>What lies under a node, or is it.</summary>
    public Tally this[PickleNode node] => node switch
    {
        TorchTensor or TorchStorage => new(1, 0, IsPlain: false),
        TorchQuantised => new(1, 1, IsPlain: false),
        TorchSparse sparse => new(sparse.Parts.Count, 1, IsPlain: false),
        _ when IsContainer(node) => node.Tally > 0 ? _tallies[node.Tally - 1] : default,
        _ => new(0, 1, IsPlain: true),
    };

    private static bool IsContainer(PickleNode node) => node is PickleDict or PickleSequence or PickleObject;

    private static int PartCount(PickleNode container) => container switch
    {
        PickleDict dict => dict.Items.Count,
        PickleSequence sequence => sequence.Items.Count,
        PickleObject instance => instance.Parts.Count + (instance.Attributes is null ? 0 : 1) + (instance.Slots is null ? 0 : 1),
        _ => 0,
    };

    private static PickleNode Part(PickleNode container, int index) => container switch
    {
        PickleDict dict => dict.Items[index].Value,
        PickleSequence sequence => sequence.Items[index],
        PickleObject instance when index < instance.Parts.Count => instance.Parts[index],
        PickleObject { Attributes: { } attributes } instance when index == instance.Parts.Count => attributes,
        PickleObject { Slots: { } slots } => slots,
        _ => throw new ArgumentOutOfRangeException(nameof(index)),
    };

    private void Close(PickleNode container, CheckpointLimits limits)
    {
        var most = (long)limits.MaxTensors + limits.MaxValues;
        if (_tallies.Count == most)
        {
            throw Errors.LimitExceeded("the number of containers", most + 1, most, nameof(limits.MaxValues));
        }

        _tallies.Add(Count(container));
        container.Tally = _tallies.Count;
    }

    private Tally Count(PickleNode container)
    {
        var (tensors, values, plain) = (0L, 0L, container is PickleSequence);
        var parts = PartCount(container);
        for (var i = 0; i < parts; i++)
        {
            var tally = this[Part(container, i)];
            (tensors, values) = (Math.Min(Many, tensors + tally.Tensors), Math.Min(Many, values + tally.Values));
            plain &= tally.IsPlain;
        }

        // What is empty, and an object that is not interpreted, whatever it holds, is itself a value.
        return new(tensors, parts == 0 || container is PickleObject ? 1 : values, plain);
    }

    /// <summary>What lies under a node.</summary>
    /// <param name="Tensors">Paths to tensors.</param>
    /// <param name="Values">Paths to other leaves.</param>
    /// <param name="IsPlain">Whether it is a leaf, or a list of lists of leaves: one JSON value.</param>
    internal readonly record struct Tally(long Tensors, long Values, bool IsPlain);
}
