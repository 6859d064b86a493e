using System.Globalization;
using System.Text;

namespace CloudShards.Formats.Torch;

/// <summary>
/// The named parts of objects that were pickled whole: modules, optimizers, TorchScript's classes, and others by their attributes. They are found once for
/// each object, however many paths lead to it, and each list or dictionary that is looked through for them is paid for.
/// </summary>
/// <param name="census">What lies under the parts.</param>
/// <param name="budget">Pays for what is found.</param>
internal sealed class TorchModules(StateDictCensus census, PickleBudget budget)
{
    private readonly Dictionary<PickleObject, List<(string Key, PickleNode Child)>> _known = new(ReferenceEqualityComparer.Instance);
    private long _lookedThrough;

    /// <summary>The parts to list under an object's name.</summary>
    /// <param name="instance">The object, which holds tensors.</param>
    /// <param name="path">The object's own name, for messages.</param>
    /// <exception cref="CheckpointFormatException">It holds tensors elsewhere than in attributes, so that their names would be a guess.</exception>
    public IReadOnlyList<(string Key, PickleNode Child)> Parts(PickleObject instance, StringBuilder path)
    {
        if (!_known.TryGetValue(instance, out var parts))
        {
            budget.SpendOnList(PickleBudget.Listed);
            _known.Add(instance, parts = [.. Find(instance, path)]);
        }

        return parts;
    }

    private IEnumerable<(string Key, PickleNode Child)> Find(PickleObject instance, StringBuilder path)
    {
        LookThrough(instance.Parts.Count + (instance.Attributes?.Items.Count ?? 0) + (instance.Slots?.Items.Count ?? 0));
        if (instance.Attributes is null || instance.Parts.Exists(part => census[part].Tensors > 0))
        {
            throw Errors.TensorInObject(path.ToString(), instance.Type.FullName);
        }

        return Attribute(instance, "_parameters") is PickleDict parameters && Attribute(instance, "_buffers") is PickleDict buffers
            && Attribute(instance, "_modules") is PickleDict modules
            ? ModuleParts(parameters, buffers, modules, Attribute(instance, "_non_persistent_buffers_set"))
            : Attribute(instance, "state") is PickleDict state && Attribute(instance, "param_groups") is PickleSequence groups
            ? OptimizerParts(instance, state, groups, path)
            : Attributes(instance).Select(item => Part(Text(item.Key, path), item.Value));
    }

    private static PickleNode? Attribute(PickleObject instance, string name) => instance.Slots?.Find(name) ?? instance.Attributes?.Find(name);

    private static IEnumerable<KeyValuePair<PickleNode, PickleNode>> Attributes(PickleObject instance) =>
        (instance.Attributes?.Items ?? []).Concat(instance.Slots?.Items ?? []);

    // As Module.state_dict() lists them: its own parameters, its own buffers that are persistent, its children.
    private IEnumerable<(string Key, PickleNode Child)> ModuleParts(PickleDict parameters, PickleDict buffers, PickleDict modules, PickleNode? transient)
    {
        var names = (transient as PickleSequence)?.Items ?? [];
        LookThrough(names.Count + parameters.Items.Count + buffers.Items.Count + modules.Items.Count);
        var skipped = names.OfType<PickleText>().Select(text => text.Value).ToHashSet(StringComparer.Ordinal);
        return parameters.Items.Concat(buffers.Items.Where(item => !skipped.Contains(Text(item.Key, null)))).Concat(modules.Items)
            .Where(item => item.Value is not PickleNone)
            .Select(item => Part(Text(item.Key, null), item.Value));
    }

    // A state is kept by parameter; Optimizer.state_dict() numbers parameters in the order of the groups, and so is it done here.
    private IEnumerable<(string Key, PickleNode Child)> OptimizerParts(PickleObject instance, PickleDict state, PickleSequence groups, StringBuilder path)
    {
        var numbers = new Dictionary<PickleNode, int>(ReferenceEqualityComparer.Instance);
        foreach (var parameter in DistinctLists(groups).SelectMany(list => list.Items))
        {
            numbers.TryAdd(parameter, numbers.Count);
        }

        foreach (var (key, value) in Attributes(instance))
        {
            if (!ReferenceEquals(value, state))
            {
                yield return Part(Text(key, path), value);
                continue;
            }

            LookThrough(state.Items.Count);
            foreach (var (parameter, of) in state.Items)
            {
                yield return numbers.TryGetValue(parameter, out var number)
                    ? Part(string.Create(CultureInfo.InvariantCulture, $"state.{number}"), of)
                    : throw Errors.UnsupportedKey($"{path}.state");
            }
        }
    }

    // A group, or its list of parameters, that is there again adds nothing.
    private List<PickleSequence> DistinctLists(PickleSequence groups)
    {
        LookThrough(groups.Items.Count);
        var lists = new List<PickleSequence>();
        foreach (var group in groups.Items.OfType<PickleDict>().Distinct<PickleDict>(ReferenceEqualityComparer.Instance))
        {
            LookThrough(group.Items.Count);
            if (group.Find("params") is PickleSequence list)
            {
                lists.Add(list);
            }
        }

        lists = [.. lists.Distinct<PickleSequence>(ReferenceEqualityComparer.Instance)];
        LookThrough(lists.Sum(list => (long)list.Items.Count));
        return lists;
    }

    private (string Key, PickleNode Child) Part(string key, PickleNode child)
    {
        budget.SpendOnList(PickleBudget.Array + (2L * key.Length));
        return (key, child);
    }

    // Objects may share all that they have: a hundred thousand of them one dictionary of as many attributes.
    private void LookThrough(long items)
    {
        const long PerContainer = 8;
        var most = PerContainer * ((long)budget.Limits.MaxTensors + budget.Limits.MaxValues);
        _lookedThrough += items;
        if (_lookedThrough > most)
        {
            throw Errors.LimitExceeded("the attributes of all objects", _lookedThrough, most, nameof(budget.Limits.MaxValues));
        }
    }

    private static string Text(PickleNode key, StringBuilder? path) => key is PickleText text ? text.Value : throw Errors.UnsupportedKey($"{path}");
}
