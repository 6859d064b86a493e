namespace CloudShards;

/// <summary>Finds names that may have been meant. Pure.</summary>
internal static class NearNames
{
    private const int MaxFound = 3;
    private const int MaxLength = 256;

    /// <summary>Up to three of <paramref name="names"/> that differ from <paramref name="name"/> by a prefix or a few characters.</summary>
    public static IReadOnlyList<string> Find(string name, IEnumerable<string> names)
    {
        if (name.Length > MaxLength)
        {
            return [];
        }

        var far = (name.Length / 5) + 1;
        return [.. names
            .Select(other => (Name: other, Distance: Distance(name, other, far)))
            .Where(candidate => candidate.Distance <= far)
            .OrderBy(candidate => candidate.Distance)
            .Take(MaxFound)
            .Select(candidate => candidate.Name)];
    }

    private static int Distance(string a, string b, int far)
    {
        // What a wrapper adds: `module.`, `model.`.
        if (a.EndsWith("." + b, StringComparison.OrdinalIgnoreCase) || b.EndsWith("." + a, StringComparison.OrdinalIgnoreCase))
        {
            return 0;
        }

        return Math.Abs(a.Length - b.Length) > far ? int.MaxValue : EditDistance(a, b);
    }

    private static int EditDistance(string a, string b)
    {
        Span<int> row = stackalloc int[b.Length + 1];
        for (var j = 0; j <= b.Length; j++)
        {
            row[j] = j;
        }

        for (var i = 1; i <= a.Length; i++)
        {
            var diagonal = row[0];
            row[0] = i;
            for (var j = 1; j <= b.Length; j++)
            {
                var changed = diagonal + (char.ToUpperInvariant(a[i - 1]) == char.ToUpperInvariant(b[j - 1]) ? 0 : 1);
                diagonal = row[j];
                row[j] = Math.Min(changed, Math.Min(row[j - 1], row[j]) + 1);
            }
        }

        return row[^1];
    }
}
