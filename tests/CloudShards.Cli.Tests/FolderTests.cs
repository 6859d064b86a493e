using System.Diagnostics;
using CloudShards.Testing;

namespace CloudShards.Cli.Tests;

/// <summary>Arguments that name a folder, or nothing that can be read.</summary>
public sealed class FolderTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public async Task TheIndexOfAFolderWinsOverItsParts()
    {
        var index = CorpusFile.Get("hf_st/model.safetensors.index.json");

        var run = await CommandRun.InspectAsync("--json", "--digests", Path.GetDirectoryName(index.Path)!);

        run.AssertIs(index);
    }

    [Fact]
    public async Task TheOneCheckpointAmongOtherFilesIsFoundByItsBytes()
    {
        var checkpoint = CorpusFile.Get("plain.pt");
        _folder.Write("config.json", """{"hidden_size": 4096}"""u8);
        _folder.Write("model.index.json", """{"not": "an index"}"""u8);
        _folder.Write("README.md", "# A model"u8);
        _folder.Write("weights", checkpoint.ReadAllBytes());

        var run = await CommandRun.InspectAsync("--json", "--digests", _folder.Path);

        run.AssertIs(checkpoint);
    }

    [Fact]
    public async Task ARefusedCheckpointIsFoundToo()
    {
        _folder.Write("README.md", "# A model"u8);
        _folder.Write("model.bin", CorpusFile.Get("evil_eval.pt").ReadAllBytes());

        var run = await CommandRun.InspectAsync("--json", _folder.Path);

        run.AssertRefused();
        Assert.Equal("Forbidden", run.Json.GetProperty("refused").GetProperty("cause").GetString());
    }

    [Fact]
    public async Task SeveralCheckpointsAreListed()
    {
        _folder.Write("a.pt", CorpusFile.Get("plain.pt").ReadAllBytes());
        _folder.Write("b.pt", CorpusFile.Get("tied.pt").ReadAllBytes());

        var run = await CommandRun.InspectAsync(_folder.Path);

        Assert.Equal($"error: The folder `{_folder.Path}` has several checkpoints: `a.pt`, `b.pt`. Name one of them.\n", run.Error);
        Assert.Equal(("", ExitCode.Failed), (run.Output, run.ExitCode));
    }

    [Fact]
    public async Task AFolderWithoutACheckpointIsAnError()
    {
        _folder.Write("README.md", "# A model"u8);

        var run = await CommandRun.InspectAsync(_folder.Path);

        Assert.Equal(ExitCode.Failed, run.ExitCode);
        Assert.StartsWith("error: No file in the folder ", run.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task AMissingFileIsAnErrorAndNotARefusal()
    {
        var run = await CommandRun.InspectAsync("--json", Path.Combine(_folder.Path, "nothing.pt"));

        Assert.Equal(("", ExitCode.Failed), (run.Output, run.ExitCode));
        Assert.StartsWith("error: There is no `", run.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task AnIndexUnderAnyNameIsAnIndex()
    {
        foreach (var file in Directory.GetFiles(Path.GetDirectoryName(CorpusFile.Get("hf_st/model.safetensors.index.json").Path)!, "*.safetensors"))
        {
            File.Copy(file, Path.Combine(_folder.Path, Path.GetFileName(file)));
        }

        var index = CorpusFile.Get("hf_st/model.safetensors.index.json");

        var run = await CommandRun.InspectAsync("--json", "--digests", _folder.Write("whatever", index.ReadAllBytes()));

        run.AssertIs(index);
    }

    [Fact]
    public async Task ARefusedFileOfASetIsNamed()
    {
        var index = CorpusFile.Get("hf_st/model.safetensors.index.json");
        _folder.Write("model-00001-of-00002.safetensors", CorpusFile.Get("hf_st/model-00001-of-00002.safetensors").ReadAllBytes());
        _folder.Write("model-00002-of-00002.safetensors", CorpusFile.Get("hf_st/model-00002-of-00002.safetensors").ReadAllBytes().AsSpan()[..^1]);

        var run = await CommandRun.InspectAsync("--json", _folder.Write("model.safetensors.index.json", index.ReadAllBytes()));

        run.AssertRefused();
        Assert.Contains("`model-00002-of-00002.safetensors`", run.Error, StringComparison.Ordinal);
    }

    // To open a pipe would wait until somebody writes to it.
    [Fact]
    public async Task APipeIsNeverOpened()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "Windows has no pipes among its files.");
        var pipe = Path.Combine(_folder.Path, "a.pipe");
        using (var made = Process.Start("mkfifo", pipe))
        {
            await made.WaitForExitAsync(TestContext.Current.CancellationToken);
        }

        var run = await CommandRun.InspectAsync(pipe);

        Assert.Equal(($"error: `{pipe}` is a pipe or a device. Save what it gives to a file and inspect that.\n", ExitCode.Failed), (run.Error, run.ExitCode));

        _folder.Write("model.pt", CorpusFile.Get("plain.pt").ReadAllBytes());
        (await CommandRun.InspectAsync("--json", "--digests", _folder.Path)).AssertIs(CorpusFile.Get("plain.pt"));
    }

    [Fact]
    public async Task ANeighbourThatCannotBeReadIsPassedOver()
    {
        File.CreateSymbolicLink(Path.Combine(_folder.Path, "dangling"), "/nonexistent");
        _folder.Write("model.pt", CorpusFile.Get("plain.pt").ReadAllBytes());

        (await CommandRun.InspectAsync("--json", "--digests", _folder.Path)).AssertIs(CorpusFile.Get("plain.pt"));
    }

    [Fact]
    public async Task WhatCouldNotBeReadIsNamedWhereNothingIsFound()
    {
        File.CreateSymbolicLink(Path.Combine(_folder.Path, "dangling.index.json"), "/nonexistent");
        _folder.Write("README.md", "# A model"u8);

        var run = await CommandRun.InspectAsync(_folder.Path);

        Assert.Equal(ExitCode.Failed, run.ExitCode);
        Assert.Contains("cannot be read: `dangling.index.json`.", run.Error, StringComparison.Ordinal);
    }
}
