using CloudShards.Formats;
using CloudShards.Testing;

namespace CloudShards.Cli.Tests;

/// <summary>The text for people, to the letter.</summary>
public sealed class TextTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public async Task ATreeOfModulesHasTheTensorsAndWhatTheyShare()
    {
        var run = await CommandRun.InspectAsync(CorpusFile.Get("tied.pt").Path);

        Assert.Equal(
            """
            tied.pt: torch-zip, 1,748 B

            emb.weight   F32  [10, 6]  240 B
            mid  (2 tensors, 168 B)
              weight     F32  [6, 6]   144 B
              bias       F32  [6]       24 B
            head.weight  F32  [10, 6]  240 B  same bytes as emb.weight

            4 tensors, 162 elements, 648 B
              tied ones counted once: 3 tensors, 102 elements, 408 B

            """,
            run.Output);
        Assert.Equal(("", ExitCode.Done), (run.Error, run.ExitCode));
    }

    [Fact]
    public async Task ATrainingCheckpointHasValues()
    {
        var run = await CommandRun.InspectAsync(CorpusFile.Get("checkpoint.pt").Path);

        Assert.Contains("\nValues\n  optimizer.param_groups.0.lr = 0.001\n", run.Output, StringComparison.Ordinal);
        Assert.Contains("\n  optimizer.param_groups.0.betas = [0.9,0.999]\n", run.Output, StringComparison.Ordinal);
        Assert.Contains("\n  name = \"run-1\"\n", run.Output, StringComparison.Ordinal);
        Assert.EndsWith(
            """
            19 tensors, 5,239 elements, 5,788 B (5.7 KiB)
              F32: 18 tensors, 183 elements, 732 B
              U8: 1 tensor, 5,056 elements, 5,056 B (4.9 KiB)

            """,
            run.Output,
            StringComparison.Ordinal);
    }

    [Fact]
    public async Task ASetTellsOfItsFilesAndMetadata()
    {
        var run = await CommandRun.InspectAsync(CorpusFile.Get("hf_st/model.safetensors.index.json").Path);

        Assert.StartsWith("model.safetensors.index.json: hf-index of 2 safetensors files, ", run.Output, StringComparison.Ordinal);
        Assert.Contains("\nMetadata\n  format = \"pt\"\n\n", run.Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task DigestsStandBehindTheBytes()
    {
        var run = await CommandRun.InspectAsync("--digests", CorpusFile.Get("tied.pt").Path);

        Assert.Contains(
            "\nhead.weight  F32  [10, 6]  240 B  sha256:b5c96ca4eaf906beef303c50c01f0e07dd98f964f2ed240eb34f016b0f53836b  same bytes as emb.weight\n",
            run.Output,
            StringComparison.Ordinal);
    }

    [Fact]
    public async Task WithoutDigestsJsonHasNone()
    {
        var run = await CommandRun.InspectAsync("--json", CorpusFile.Get("tied.pt").Path);

        Assert.All(run.Json.GetProperty("tensors").EnumerateArray(), tensor => Assert.False(tensor.TryGetProperty("sha256", out _)));
    }

    [Fact]
    public async Task NoNameCanActOnATerminal()
    {
        var file = await WriteAsync("\u001b[2J\u001b]0;owned\u0007", "a\u202eb.c\u009bd", "line\nbreak", "with space");

        var run = await CommandRun.InspectAsync(file);

        Assert.DoesNotContain(run.Output, character => char.IsControl(character) && character != '\n');
        Assert.Contains("\n\"\\u001b[2J\\u001b]0;owned\\u0007\"  ", run.Output, StringComparison.Ordinal);
        Assert.Contains("\n\"a\\u202eb\".\"c\\u009bd\"  ", run.Output, StringComparison.Ordinal);
        Assert.Contains("\n\"line\\u000abreak\"  ", run.Output, StringComparison.Ordinal);
        Assert.Contains("\n\"with space\"  ", run.Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task ARefusalIsOneLineWhateverTheFileNames()
    {
        const string Header = """{"a\u001b[2J\n":{"dtype":"NOPE","shape":[],"data_offsets":[0,0]}}""";
        byte[] file = [.. BitConverter.GetBytes((long)Header.Length), .. System.Text.Encoding.UTF8.GetBytes(Header)];

        var run = await CommandRun.InspectAsync(_folder.Write("named.safetensors", file));

        Assert.Equal(ExitCode.Refused, run.ExitCode);
        Assert.Equal(run.Error.Length - 1, run.Error.IndexOf('\n', StringComparison.Ordinal));
        Assert.DoesNotContain('\u001b', run.Error);
        Assert.Contains("\\u001b[2J\\u000a", run.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task LongValuesAreCutForPeopleAndWholeForPrograms()
    {
        var values = Enumerable.Range(0, 1000).Select(i => $"{i}");
        var inspection = new Inspection
        {
            Name = "long.pt",
            Files = 1,
            FileBytes = 1,
            IsSet = false,
            Description = new()
            {
                Format = CheckpointFormat.TorchZip,
                Tensors = [],
                Values = System.Text.Json.JsonElement.Parse($$"""{"numbers": [{{string.Join(",", values)}}]}"""),
            },
        };
        using var text = new StringWriter();
        using var json = new StringWriter();

        InspectionText.Write(inspection, text);
        InspectionJson.Write(inspection, json);

        Assert.Matches("numbers = \\[0,1,.{100,120}…\\r?\\n", text.ToString());
        Assert.Contains("998,999]", json.ToString(), StringComparison.Ordinal);
    }

    private async Task<string> WriteAsync(params IEnumerable<string> names)
    {
        var checkpoint = new SyntheticCheckpoint([.. names.Select(name => new SyntheticTensor(name, TensorDType.F32, [2]))]);
        var path = Path.Combine(_folder.Path, "model.safetensors");
        await using var stream = File.Create(path);
        await checkpoint.WriteSafetensorsAsync(stream, TestContext.Current.CancellationToken);
        return path;
    }
}
