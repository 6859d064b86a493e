using System.Globalization;

namespace CloudShards.Formats.Torch;

/// <summary>The named parts of objects that were pickled whole: modules, optimizers, TorchScript's classes, and others by their attributes.</summary>
internal static class TorchModules
{
    /// <summary>The parts to list under an object's name.</summary>
    /// <param name="instance">The object, which holds tensors.</param>
    /// <param name="census">What lies under its parts.</param>
    /// <param name="path">The object's own name, for messages.</param>
    /// <exception cref="CheckpointFormatException">It holds tensors elsewhere than in attributes, so that their names would be a guess.</exception>
    public static IEnumerable<(string Key, PickleNode Child)> Parts(PickleObject instance, StateDictCensus census, string path)
    {
        if (instance.Attributes is not { } attributes || instance.Parts.Exists(part => census[part].Tensors > 0))
        {
            throw Errors.TensorInObject(path, instance.Type.FullName);
        }

        return attributes.Find("_parameters") is PickleDict parameters && attributes.Find("_buffers") is PickleDict buffers
            && attributes.Find("_modules") is PickleDict modules
            ? ModuleParts(parameters, buffers, modules, attributes.Find("_non_persistent_buffers_set"))
            : attributes.Find("state") is PickleDict state && attributes.Find("param_groups") is PickleSequence groups
            ? OptimizerParts(attributes, state, groups, path)
            : attributes.Items.Select(item => (Text(item.Key, path), item.Value));
    }

    // As Module.state_dict() lists them: its own parameters, its own buffers that are persistent, its children.
    private static IEnumerable<(string Key, PickleNode Child)> ModuleParts(
        PickleDict parameters, PickleDict buffers, PickleDict modules, PickleNode? transient)
    {
        var skipped = (transient as PickleSequence)?.Items.OfType<PickleText>().Select(text => text.Value).ToHashSet(StringComparer.Ordinal) ?? [];
        return parameters.Items.Concat(buffers.Items.Where(item => !skipped.Contains(Text(item.Key, "")))).Concat(modules.Items)
            .Where(item => item.Value is not PickleNone)
            .Select(item => (Text(item.Key, ""), item.Value));
    }

    // A state is kept by parameter; Optimizer.state_dict() numbers parameters in the order of the groups, and so is it done here.
    private static IEnumerable<(string Key, PickleNode Child)> OptimizerParts(
        PickleDict attributes, PickleDict state, PickleSequence groups, string path)
    {
        var numbers = new Dictionary<PickleNode, int>(ReferenceEqualityComparer.Instance);
        foreach (var parameter in groups.Items.OfType<PickleDict>().SelectMany(group => (group.Find("params") as PickleSequence)?.Items ?? []))
        {
            numbers.TryAdd(parameter, numbers.Count);
        }

        foreach (var (key, value) in attributes.Items)
        {
            if (!ReferenceEquals(value, state))
            {
                yield return (Text(key, path), value);
                continue;
            }

            foreach (var (parameter, of) in state.Items)
            {
                yield return numbers.TryGetValue(parameter, out var number)
                    ? (string.Create(CultureInfo.InvariantCulture, $"state.{number}"), of)
                    : throw Errors.UnsupportedKey($"{path}.state");
            }
        }
    }

    private static string Text(PickleNode key, string path) => key is PickleText text ? text.Value : throw Errors.UnsupportedKey(path);
}
