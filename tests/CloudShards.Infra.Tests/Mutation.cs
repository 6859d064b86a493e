namespace CloudShards.Infra.Tests;

/// <summary>A copy of <c>infra/</c> with one mistake in it.</summary>
internal sealed class Mutation : IDisposable
{
    private Mutation(string folder) => Folder = folder;

    public string Folder { get; }

    /// <summary>Copies the folder and makes the mistake, which must fit in exactly one place.</summary>
    public static Mutation Make(string file, string right, string wrong)
    {
        var parts = File.ReadAllText(Path.Combine(Infrastructure.Folder, file)).Split(right);
        Assert.Equal(2, parts.Length);

        var mutation = new Mutation(Directory.CreateTempSubdirectory("cloudshards-infra-").FullName);
        foreach (var path in Infrastructure.Files.Append("bicepconfig.json"))
        {
            var copy = Path.Combine(mutation.Folder, path);
            Directory.CreateDirectory(Path.GetDirectoryName(copy)!);
            File.Copy(Path.Combine(Infrastructure.Folder, path), copy);
        }

        File.WriteAllText(Path.Combine(mutation.Folder, file), string.Join(wrong, parts));
        return mutation;
    }

    public void Dispose() => Directory.Delete(Folder, recursive: true);
}
