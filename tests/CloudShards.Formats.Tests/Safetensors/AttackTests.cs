using System.Globalization;
using System.Text;
using CloudShards.Formats.Tests.Files;

namespace CloudShards.Formats.Tests.Safetensors;

public sealed class AttackTests
{
    private const int Million = 1_000_000;

    [Fact]
    public void DeepJsonIsRefused()
    {
        foreach (var open in (string[])["[", "{\"a\":"])
        {
            var deep = string.Concat(Enumerable.Repeat(open, 10_000));

            Assert.Equal(CheckpointError.Malformed, CheckpointBytes.Refuse(SafetensorsBytes.File($$"""{"w":{"later":{{deep}}""")).Error);
            Assert.Equal(CheckpointError.Malformed, CheckpointBytes.Refuse(SafetensorsBytes.File($$"""{"w":{"shape":{{deep}}""")).Error);
            Assert.Equal(CheckpointError.Malformed, CheckpointBytes.Refuse(SafetensorsBytes.File($$"""{"__metadata__":{{deep}}""")).Error);
        }
    }

    // What a header can make the parser hold, for each of its bytes.
    [Theory]
    [InlineData("""{"w":{"shape":[""", "0,", Million)]
    [InlineData("""{"w":{"data_offsets":[""", "0,", Million)]
    [InlineData("""{"w":{"later":[""", "[],", Million)]
    [InlineData("""{"__metadata__":{"k":"v",""", "\"k\":\"\",", Million)]
    [InlineData("{\"", "a", Million)]
    [InlineData("{\"", "\\n", Million)]
    public void AHeaderThatRepeatsItselfIsRefusedAtItsCost(string start, string again, int count)
    {
        var file = SafetensorsBytes.File(start + string.Concat(Enumerable.Repeat(again, count)));
        var (allocated, refusal) = CheckpointBytes.Measure(file);

        Assert.NotNull(refusal);
        Assert.InRange(allocated, 0, 8L * file.Length);
    }

    [Theory]
    [InlineData("{", ",\"{0}\":{{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}}")]
    [InlineData("{\"__metadata__\":{", ",\"{0}\":\"\"")]
    public void EntriesAreBoundedInNumber(string start, string entry)
    {
        var limits = new CheckpointLimits { MaxTensors = 50_000, MaxValues = 50_000 };
        var header = new StringBuilder(start);
        for (var i = 0; i <= 50_000; i++)
        {
            header.AppendFormat(CultureInfo.InvariantCulture, i == 0 ? entry[1..] : entry, i);
        }

        var file = SafetensorsBytes.File(header.ToString());
        var (allocated, refusal) = CheckpointBytes.Measure(file, limits);

        Assert.Equal(CheckpointError.LimitExceeded, refusal?.Error);
        Assert.InRange(allocated, 0, 16L * file.Length);
    }

    [Fact]
    public void TheLongestNameIsRead()
    {
        var name = new string('n', 65_536);

        Assert.Equal(name, CheckpointBytes.Describe(SafetensorsBytes.File($"{{{SafetensorsBytes.Entry(name, "U8", "[8]", 0, 8)}}}", 8)).Tensors[0].Name);
        Assert.Equal(
            CheckpointError.LimitExceeded,
            CheckpointBytes.Refuse(SafetensorsBytes.File($"{{{SafetensorsBytes.Entry(name + "n", "U8", "[8]", 0, 8)}}}", 8)).Error);
    }
}
