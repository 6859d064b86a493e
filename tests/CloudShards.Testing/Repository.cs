namespace CloudShards.Testing;

/// <summary>The clone of the repository that the tests run from.</summary>
public static class Repository
{
    /// <summary>The folder with <c>CloudShards.sln</c>.</summary>
    public static string Root { get; } = FindRoot();

    /// <summary>The folder of golden and hostile checkpoints.</summary>
    public static string Corpus { get; } = Path.Combine(Root, "tests", "Corpus");

    private static string FindRoot()
    {
        for (var folder = new DirectoryInfo(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
        {
            if (File.Exists(Path.Combine(folder.FullName, "CloudShards.sln")))
            {
                return folder.FullName;
            }
        }

        throw new DirectoryNotFoundException(
            $"No folder above `{AppContext.BaseDirectory}` holds `CloudShards.sln`. Run the tests from a clone.");
    }
}
