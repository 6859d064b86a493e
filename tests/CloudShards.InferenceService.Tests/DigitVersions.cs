using System.Buffers.Binary;
using System.Globalization;
using System.Text.Json;
using CloudShards;
using CloudShards.Formats;
using CloudShards.Testing;

namespace InferenceService.Tests;

/// <summary>Publishes versions of the digit classifier, and knows what it must answer.</summary>
internal static class DigitVersions
{
    private const int Pixels = 64;

    private static string Folder => Path.Combine(Repository.Corpus, "digits");

    /// <summary>Publishes the classifier, with a tensor changed where one is named.</summary>
    /// <param name="store">Where to.</param>
    /// <param name="changed">The tensor that gets other bytes.</param>
    /// <param name="left">The tensor that is left out.</param>
    public static async Task<CheckpointReference> PublishAsync(IShardStore store, string? changed = null, string? left = null)
    {
        var file = await File.ReadAllBytesAsync(Path.Combine(Folder, "digits.safetensors"), TestContext.Current.CancellationToken);
        var header = (int)BinaryPrimitives.ReadInt64LittleEndian(file);
        using var json = JsonDocument.Parse(file.AsMemory(8, header));
        var writer = new CheckpointWriter(store, "digits");
        foreach (var tensor in json.RootElement.EnumerateObject().Where(tensor => tensor.Name != "__metadata__" && tensor.Name != left))
        {
            Assert.True(TensorDTypeExtensions.TryParse(tensor.Value.GetProperty("dtype").GetString(), out var dtype));
            var shape = TensorShape.Create([.. tensor.Value.GetProperty("shape").EnumerateArray().Select(size => size.GetInt64())]);
            var offsets = tensor.Value.GetProperty("data_offsets").EnumerateArray().Select(offset => offset.GetInt32() + 8 + header).ToArray();
            var content = file[offsets[0]..offsets[1]];
            if (tensor.Name == changed)
            {
                content.AsSpan().Clear();
            }

            await writer.WriteTensorAsync("model." + tensor.Name, dtype, shape, content, TestContext.Current.CancellationToken);
        }

        return await writer.PublishAsync(cancellationToken: TestContext.Current.CancellationToken);
    }

    /// <summary>Images that the classifier was not trained on, and their labels.</summary>
    public static (float[][] Images, int[] Labels) HeldOut()
    {
        var rows = File.ReadLines(Path.Combine(Folder, "digits-heldout.csv")).Skip(1)
            .Select(line => Array.ConvertAll(line.Split(','), text => float.Parse(text, CultureInfo.InvariantCulture))).ToArray();
        return ([.. rows.Select(row => row[1..(1 + Pixels)].Select(pixel => pixel / 16).ToArray())], [.. rows.Select(row => (int)row[0])]);
    }
}
