using System.Text.RegularExpressions;
using System.Xml.Linq;
using CloudShards.Sharding;
using CloudShards.Testing;

namespace CloudShards.EndToEnd.Tests;

/// <summary>The rules of ARCHITECTURE.md and CONTRIBUTING.md that no compiler keeps.</summary>
public sealed partial class ArchitectureTests
{
    private const int MaxLines = 400;

    private static readonly string[] Interfaces = ["ICheckpointSource", "IShardStore"];

    private static readonly string[] Drawers =
        ["Manager", "Helper", "Helpers", "Util", "Utils", "Common", "Shared", "Base", "Impl", "Handler", "Processor", "Service"];

    // What a programmer did wrong, and what System.Text.Json asks of its converters, is no refusal.
    private static readonly string[] NoRefusals =
        ["ArgumentException", "ArgumentOutOfRangeException", "ArgumentNullException", "ObjectDisposedException", "UnreachableException",
            "InvalidOperationException", "NotSupportedException", "OverflowException"];

    private static readonly Dictionary<string, string[]> Arrows = new()
    {
        ["CloudShards.Formats"] = [],
        ["CloudShards"] = ["CloudShards.Formats"],
        ["CloudShards.TorchSharp"] = ["CloudShards"],
        ["CloudShards.Sharding"] = ["CloudShards"],
        ["CloudShards.Functions"] = ["CloudShards.Sharding"],
        ["CloudShards.LocalHost"] = ["CloudShards.Sharding"],
        ["CloudShards.Cli"] = ["CloudShards", "CloudShards.Sharding"],
    };

    private static Project[] Projects { get; } =
        [.. Files("*.csproj").Select(file => new Project(file, XDocument.Load(Path.Combine(Repository.Root, file))))];

    private static Source[] Sources { get; } =
        [.. Files("*.cs").Select(file => new Source(file, File.ReadAllLines(Path.Combine(Repository.Root, file))))];

    private static IEnumerable<Source> Product => Sources.Where(source => !source.File.StartsWith("tests/", StringComparison.Ordinal));

    [Fact]
    public void ReferencesBetweenProjectsPointDown() => Assert.Empty(
        from project in Projects
        where project.IsProduct
        let allowed = project.IsSample ? [.. Arrows.Keys] : Arrows.GetValueOrDefault(project.Name, [])
        from reference in project.References
        where !allowed.Contains(reference)
        select $"{project.Name} -> {reference}");

    [Fact]
    public void EveryProjectHasItsPlace() =>
        Assert.Empty(Projects.Where(project => project.IsProduct && !project.IsSample && !Arrows.ContainsKey(project.Name)).Select(project => project.Name));

    [Fact]
    public void TestsAreReferencedByNobody() => Assert.Empty(
        from project in Projects
        from reference in project.References
        where reference.EndsWith(".Tests", StringComparison.Ordinal)
        select $"{project.Name} -> {reference}");

    [Fact]
    public void EveryProjectIsInTheSolution()
    {
        var solution = File.ReadAllText(Path.Combine(Repository.Root, "CloudShards.sln"));

        Assert.Empty(Projects.Where(project => !solution.Contains($"\"{project.File.Replace('/', '\\')}\"", StringComparison.Ordinal)).Select(project => project.File));
    }

    [Theory]
    [InlineData("TorchSharp", "CloudShards.TorchSharp")]
    [InlineData("Microsoft.Azure.WebJobs", "CloudShards.EndToEnd.Tests")]
    [InlineData("Microsoft.Azure.WebJobs.Extensions.Storage", "CloudShards.EndToEnd.Tests")]
    [InlineData("Microsoft.Azure.Storage.Common", null)]
    [InlineData("WindowsAzure.Storage", null)]
    public void APackageIsWhereItBelongsAndNowhereElse(string package, string? place) => Assert.Equal(
        place is null ? [] : [place], Projects.Where(project => project.Packages.Contains(package)).Select(project => project.Name));

    [Fact]
    public void FormatsHasNoPackageAtAll() => Assert.Empty(Projects.Single(project => project.Name == "CloudShards.Formats").Packages);

    [Fact]
    public void WorkerPackagesAreInTheFunctionAppAlone() => Assert.Empty(
        from project in Projects
        where project.Name != "CloudShards.Functions"
        from package in project.Packages
        where package.StartsWith("Microsoft.Azure.Functions.", StringComparison.Ordinal)
        select $"{project.Name}: {package}");

    [Fact]
    public void NamesAreOfThingsAndNotOfDrawers() => Assert.Empty(
        from source in Sources
        from name in source.Types.Append(Path.GetFileNameWithoutExtension(source.File))
        from word in Word.Matches(name).Select(match => match.Value)
        where Drawers.Contains(word)
        select $"{source.File}: {name}");

    [Fact]
    public void AnInterfaceHasTwoImplementations() => Assert.Equal(
        Interfaces, Product.SelectMany(source => source.Lines).Select(line => Interface.Match(line).Groups["name"].Value).Where(name => name != "").Order());

    [Fact]
    public void FilesAreShort() => Assert.Empty(Sources.Where(source => source.Lines.Length >= MaxLines).Select(source => $"{source.File}: {source.Lines.Length}"));

    [Theory]
    [InlineData(@"new Exception\(")]
    [InlineData("NotImplementedException")]
    [InlineData("#region")]
    [InlineData(@"\bTODO\b")]
    [InlineData("async void")]
    [InlineData(@"Thread\.Sleep")]
    [InlineData(@"\.GetAwaiter\(\)\.GetResult")]
    public void NobodyWrites(string pattern) => Assert.Empty(Matches(Sources, new(pattern)));

    [Fact]
    public void RefusalsAreWordedInOnePlace() => Assert.Empty(
        from source in Product
        where !source.IsSample && Path.GetFileName(source.File) != "Errors.cs" && !source.File.EndsWith("Json.cs", StringComparison.Ordinal)
        from line in source.Code
        from exception in Thrown.Matches(line).Select(match => match.Groups["type"].Value)
        where !NoRefusals.Contains(exception)
        select $"{source.File}: {exception}");

    [Fact]
    public void WhoDecidesDoesNotWait() => Assert.Empty(Matches(
        Product.Where(source => source.File.EndsWith("Planner.cs", StringComparison.Ordinal) || source.File.StartsWith("sdk/CloudShards.Formats/", StringComparison.Ordinal)),
        new(@"\bawait\b")));

    [Fact]
    public void TestsAreNamedAsSentences() => Assert.Empty(Matches(
        Sources.Where(source => source.File.StartsWith("tests/", StringComparison.Ordinal)), new(@"public (async Task|Task|void) \w*_\w*\(")));

    [Fact]
    public void TheContainersAndQueuesHaveTheNamesThatPeopleAreTold()
    {
        var readme = File.ReadAllText(Path.Combine(Repository.Root, "README.md"));

        Assert.All(
            [StorageNames.Uploads, StorageNames.Shards, StorageNames.Work, StorageNames.Events],
            name => Assert.Matches($@"[`(\[/]{name}[`)\]/]", readme));
    }

    private static IEnumerable<string> Matches(IEnumerable<Source> sources, Regex pattern) =>
        from source in sources
        where Path.GetFileName(source.File) != nameof(ArchitectureTests) + ".cs"
        from line in source.Code
        where pattern.IsMatch(line)
        select $"{source.File}: {line.Trim()}";

    private static IEnumerable<string> Files(string pattern) =>
        from folder in (string[])["sdk", "functions", "tests"]
        from file in Directory.EnumerateFiles(Path.Combine(Repository.Root, folder), pattern, SearchOption.AllDirectories)
        let path = Path.GetRelativePath(Repository.Root, file).Replace('\\', '/')
        orderby path
        select path;

    [GeneratedRegex(@"[A-Z]+(?![a-z])|[A-Z][a-z0-9]*")]
    private static partial Regex Word { get; }

    [GeneratedRegex(@"\binterface (?<name>I[A-Z]\w*)")]
    private static partial Regex Interface { get; }

    [GeneratedRegex(@"\bthrow new (?<type>\w+)")]
    private static partial Regex Thrown { get; }

    [GeneratedRegex(@"^\s*(?:(?:public|internal|private|protected|file|static|sealed|abstract|partial|readonly|ref|unsafe)\s+)*"
        + @"(?:class|struct|enum|interface|record(?:\s+(?:class|struct))?)\s+(?<name>\w+)")]
    private static partial Regex Declaration { get; }

    private sealed record Project(string File, XDocument Xml)
    {
        public string Name => Path.GetFileNameWithoutExtension(File);

        public bool IsProduct => !File.StartsWith("tests/", StringComparison.Ordinal);

        public bool IsSample => File.StartsWith("sdk/samples/", StringComparison.Ordinal);

        public IEnumerable<string> References => Items("ProjectReference").Select(path => Path.GetFileNameWithoutExtension(path.Replace('\\', '/')));

        public IEnumerable<string> Packages => Items("PackageReference");

        private IEnumerable<string> Items(string kind) => Xml.Descendants(kind).Select(item => item.Attribute("Include")?.Value).OfType<string>();
    }

    private sealed record Source(string File, string[] Lines)
    {
        public bool IsSample => File.StartsWith("sdk/samples/", StringComparison.Ordinal);

        /// <summary>The lines that are not comments alone.</summary>
        public IEnumerable<string> Code => Lines.Where(line => !line.TrimStart().StartsWith("//", StringComparison.Ordinal));

        public IEnumerable<string> Types => Lines.Select(line => Declaration.Match(line).Groups["name"].Value).Where(name => name != "");
    }
}
