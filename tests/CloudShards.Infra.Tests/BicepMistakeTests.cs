namespace CloudShards.Infra.Tests;

/// <summary>Mistakes that the compiler, the linter with <c>bicepconfig.json</c>, or the formatter must catch; each is a warning to them at most.</summary>
public sealed class BicepMistakeTests(Infrastructure infrastructure)
{
    [Theory]
    [InlineData("BCP089", "modules/storageAccount.bicep", "allowSharedKeyAccess: false", "allowSharedKeysAccess: false")]
    [InlineData("BCP036", "modules/storageAccount.bicep", "'TLS1_2'", "12")]
    [InlineData("BCP081", "modules/identity.bicep", "@2024-11-30", "@2024-11-31")]
    [InlineData("no-unused-vars", "main.bicep", "var eventQueue", "var unused = 'shard-batches'\nvar eventQueue")]
    [InlineData("no-unused-params", "modules/budget.bicep", "param emails string[]", "param emails string[]\n\n@description('Nobody asks.')\nparam unused string")]
    [InlineData("use-description-params", "modules/identity.bicep", "@description('Region.')\n", "")]
    [InlineData("no-hardcoded-location", "modules/identity.bicep", "location: location", "location: 'westeurope'")]
    [InlineData("no-module-name", "main.bicep", "module identity 'modules/identity.bicep' = {\n", "module identity 'modules/identity.bicep' = {\n  name: 'identity'\n")]
    [InlineData("use-user-defined-types", "modules/identity.bicep", "param tags resourceTags", "param tags object")]
    public async Task AMistakeIsReported(string code, string file, string right, string wrong)
    {
        using var mutation = Mutation.Make(file, right, wrong);

        var (diagnostics, _) = await infrastructure.CompileAsync(mutation.Folder, file, TestContext.Current.CancellationToken);

        Assert.Contains(diagnostics, diagnostic => diagnostic.Contains($": {code}: ", StringComparison.Ordinal));
    }

    [Fact]
    public async Task AFileThatIsNotFormattedIsSeen()
    {
        const string File = "modules/identity.bicep";
        using var mutation = Mutation.Make(File, "  name: name", "    name: name");

        Assert.NotEqual(
            await System.IO.File.ReadAllTextAsync(Path.Combine(mutation.Folder, File), TestContext.Current.CancellationToken),
            await infrastructure.FormatAsync(mutation.Folder, File, TestContext.Current.CancellationToken));
    }
}
