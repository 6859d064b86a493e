using System.Reflection;

namespace CloudShards.Infra.Tests.Rules;

/// <summary>What every deployment must be like. A rule is a static method that tells what is wrong with one.</summary>
internal static class Rule
{
    private static readonly Type[] Places =
        [typeof(StorageRules), typeof(AccessRules), typeof(WorkerRules), typeof(EventRules), typeof(AlertRules), typeof(NetworkRules), typeof(NameRules)];

    /// <summary>The rules by their names.</summary>
    public static IReadOnlyDictionary<string, Func<Prediction, IEnumerable<string>>> All { get; } =
        (from place in Places
         from method in place.GetMethods(BindingFlags.Public | BindingFlags.Static)
         where method.ReturnType == typeof(IEnumerable<string>)
         select method.CreateDelegate<Func<Prediction, IEnumerable<string>>>()).ToDictionary(rule => rule.Method.Name);

    /// <summary>Tells what is wrong unless something holds.</summary>
    public static IEnumerable<string> Unless(bool holds, string wrong) => holds ? [] : [wrong];

    /// <summary>Tells what is missing, and what is too much.</summary>
    public static IEnumerable<string> Compare<T>(string what, IEnumerable<T> expected, IEnumerable<T> found)
    {
        T[] all = [.. expected];
        T[] present = [.. found];
        return [.. all.Except(present).Select(item => $"{what}: {item} is missing"), .. present.Except(all).Select(item => $"{what}: {item} is too much")];
    }
}
