namespace CloudShards.LocalHost.Tests;

public sealed class AzuriteInstallationTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("installation-").FullName;

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public AzuriteInstallationTests() => Write("package.json", """{"dependencies": {"azurite": "3.37.0"}}""");

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void TheRepositorysInstallationIsFound() =>
        Assert.True(File.Exists(Path.Combine(AzuriteInstallation.Find().Folder, "run.cjs")));

    [Fact]
    public void AnInstallationIsCompleteOnceNpmHasFinished()
    {
        var installation = new AzuriteInstallation(_folder);
        Assert.False(installation.IsComplete);

        Write("node_modules/azurite/package.json", """{"version": "3.37.0"}""");
        Assert.False(installation.IsComplete);

        Write("node_modules/.package-lock.json", "{}");
        Assert.True(installation.IsComplete);
    }

    [Fact]
    public void AnotherVersionIsNotComplete()
    {
        Install("3.35.0");

        Assert.False(new AzuriteInstallation(_folder).IsComplete);
    }

    [Fact]
    public async Task ACompleteInstallationNeedsNoNpm()
    {
        Install("3.37.0");

        await new AzuriteInstallation(_folder, npm: "no-such-npm").CompleteAsync(cancellationToken: Token);
    }

    [Fact]
    public async Task AMissingNpmIsNamedWithItsCure()
    {
        var installation = new AzuriteInstallation(_folder, npm: "no-such-npm");

        var exception = await Assert.ThrowsAsync<AzuriteException>(() => installation.CompleteAsync(cancellationToken: Token));

        Assert.Contains("`no-such-npm` could not be started", exception.Message, StringComparison.Ordinal);
        Assert.Contains("https://nodejs.org", exception.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task AFailureOfNpmShowsItsLastLines()
    {
        const string Registry = "http://127.0.0.1:1/";
        Write(".npmrc", $"registry={Registry}\nfetch-retries=0\n");
        Write("package-lock.json", """
            {"lockfileVersion": 3, "packages": {
                "": {"dependencies": {"azurite": "3.37.0"}},
                "node_modules/azurite": {"version": "3.37.0"}}}
            """);
        var installation = new AzuriteInstallation(_folder);

        var exception = await Assert.ThrowsAsync<AzuriteException>(() => installation.CompleteAsync(cancellationToken: Token));

        Assert.Contains(Registry, exception.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task AnInstallationByAnotherProgramIsAwaitedAndUsed()
    {
        var other = Lock();
        var progress = new CallbackProgress(_ =>
        {
            Install("3.37.0");
            other.Dispose();
        });

        await new AzuriteInstallation(_folder, npm: "no-such-npm").CompleteAsync(progress, Token);

        Assert.Equal(1, progress.Reports);
    }

    [Fact]
    public async Task WaitingForAnotherProgramCanBeCancelled()
    {
        using var other = Lock();
        using var patience = new CancellationTokenSource();
        var installation = new AzuriteInstallation(_folder);

        await Assert.ThrowsAnyAsync<OperationCanceledException>(
            () => installation.CompleteAsync(new CallbackProgress(_ => patience.Cancel()), patience.Token));
    }

    private FileStream Lock() => new(Path.Combine(_folder, ".install.lock"), FileMode.Create, FileAccess.ReadWrite, FileShare.None);

    private void Install(string version)
    {
        Write("node_modules/azurite/package.json", $$"""{"version": "{{version}}"}""");
        Write("node_modules/.package-lock.json", "{}");
    }

    private void Write(string name, string content)
    {
        var path = Path.Combine(_folder, name);
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        File.WriteAllText(path, content);
    }

    /// <summary>Calls back on the reporting thread, where <see cref="Progress{T}"/> would post.</summary>
    private sealed class CallbackProgress(Action<string> report) : IProgress<string>
    {
        public int Reports { get; private set; }

        public void Report(string value)
        {
            Reports++;
            report(value);
        }
    }
}
