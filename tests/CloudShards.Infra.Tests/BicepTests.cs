namespace CloudShards.Infra.Tests;

public sealed class BicepTests(Infrastructure infrastructure)
{
    public static TheoryData<string> Files => [.. Infrastructure.Files];

    [Theory]
    [MemberData(nameof(Files))]
    public async Task TheCompilerAndTheLinterHaveNothingToSay(string file) =>
        Assert.Empty((await infrastructure.CompileAsync(file)).Diagnostics);

    [Theory]
    [MemberData(nameof(Files))]
    public async Task FilesAreFormatted(string file) => Assert.Equal(
        await File.ReadAllTextAsync(Path.Combine(Infrastructure.Folder, file), TestContext.Current.CancellationToken),
        await infrastructure.FormatAsync(Infrastructure.Folder, file, TestContext.Current.CancellationToken));

    [Fact]
    public void ModulesAreOfThisRepository() => Assert.Empty(
        from file in Infrastructure.Files
        from line in File.ReadLines(Path.Combine(Infrastructure.Folder, file))
        where line.Contains("'br:", StringComparison.Ordinal) || line.Contains("'br/", StringComparison.Ordinal) || line.Contains("'ts", StringComparison.Ordinal)
        select $"{file}: {line}");
}
