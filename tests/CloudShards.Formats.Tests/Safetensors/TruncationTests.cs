using CloudShards.Formats.Tests.Files;

namespace CloudShards.Formats.Tests.Safetensors;

public sealed class TruncationTests
{
    private static readonly byte[] Padded = SafetensorsBytes.File(
        $$"""{"__metadata__":{"k":"v"},{{SafetensorsBytes.Entry("a", "F32", "[2]", 0, 8)}},{{SafetensorsBytes.Entry("é", "I64", "[]", 8, 16)}}}    """, 16);

    private static readonly byte[] Empty = SafetensorsBytes.File("{}");

    [Fact]
    public void EveryProperPrefixIsRefused()
    {
        foreach (var file in (byte[][])[Padded, Empty])
        {
            CheckpointBytes.Describe(file);
            for (var length = 0; length < file.Length; length++)
            {
                CheckpointBytes.Refuse(file[..length]);
            }
        }
    }

    [Fact]
    public void EveryDamagedByteLeavesADescriptionOrARefusal()
    {
        for (var i = 0; i < Padded.Length; i++)
        {
            for (var value = 0; value <= byte.MaxValue; value++)
            {
                byte[] damaged = [.. Padded];
                damaged[i] = (byte)value;
                CheckpointBytes.TryDescribe(damaged);
            }
        }
    }
}
