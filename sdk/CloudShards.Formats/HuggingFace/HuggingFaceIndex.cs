using System.Collections.Immutable;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace CloudShards.Formats;

/// <summary>
/// The index of a checkpoint in several files, as Hugging Face's libraries write it (<c>model.safetensors.index.json</c>,
/// <c>pytorch_model.bin.index.json</c>): <c>{"metadata": {…}, "weight_map": {tensor: file}}</c>.
/// </summary>
public sealed partial record HuggingFaceIndex
{
    private HuggingFaceIndex(ImmutableDictionary<string, string> fileOf) =>
        (FileOf, Files) = (fileOf, [.. fileOf.Values.Distinct(StringComparer.Ordinal).Order(StringComparer.Ordinal)]);

    /// <summary>For each tensor the name of the file, beside the index, that holds it.</summary>
    public ImmutableDictionary<string, string> FileOf { get; }

    /// <summary>The files, in ordinal order of their names, which is the order of their tensors.</summary>
    public ImmutableArray<string> Files { get; }

    /// <summary>Whether a file's name is one that an index has. What it is, its bytes decide.</summary>
    public static bool IsIndexName(string file)
    {
        ArgumentNullException.ThrowIfNull(file);
        return file.EndsWith(".json", StringComparison.OrdinalIgnoreCase) && file.Contains(".index.", StringComparison.OrdinalIgnoreCase);
    }

    /// <summary>Reads an index.</summary>
    /// <exception cref="CheckpointFormatException">It is not one, or names a file that does not lie beside it.</exception>
    public static HuggingFaceIndex Parse(ReadOnlySpan<byte> utf8, CheckpointLimits? limits = null)
    {
        limits ??= CheckpointLimits.Default;
        if (utf8.Length > limits.MaxHeaderBytes)
        {
            throw Errors.LimitExceeded("the index's bytes", utf8.Length, limits.MaxHeaderBytes, nameof(limits.MaxHeaderBytes));
        }

        if (!System.Text.Unicode.Utf8.IsValid(utf8))
        {
            throw Errors.IndexNotJson("it is not UTF-8");
        }

        try
        {
            var map = JsonSerializer.Deserialize(utf8, IndexJson.Default.Document)?.WeightMap ?? throw Errors.IndexNotJson("it has no `weight_map`");
            if (map.Count == 0)
            {
                throw Errors.IndexNotJson("its `weight_map` is empty");
            }

            if (map.Count > limits.MaxTensors)
            {
                throw Errors.LimitExceeded("the number of tensors", map.Count, limits.MaxTensors, nameof(limits.MaxTensors));
            }

            return map.FirstOrDefault(entry => !IsPlainFileName(entry.Value)) is { Key: { } tensor } outside
                ? throw Errors.IndexPointsOutside(tensor, outside.Value)
                : new(map.ToImmutableDictionary(StringComparer.Ordinal));
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            throw Errors.IndexNotJson(e.Message, e);
        }
    }

    /// <summary>The checkpoint that the files make up: their tensors, file after file, each where the index says.</summary>
    /// <param name="files">The descriptions of <see cref="Files"/>, in their order.</param>
    /// <exception cref="CheckpointFormatException">A tensor is missing, or in another file, or the index does not name it.</exception>
    public CheckpointDescription Combine(IReadOnlyList<CheckpointDescription> files)
    {
        ArgumentNullException.ThrowIfNull(files);
        var tensors = ImmutableArray.CreateBuilder<TensorInfo>(FileOf.Count);
        var (metadata, values) = (CheckpointValues.NoMetadata, new Dictionary<string, JsonElement>(StringComparer.Ordinal));
        for (var i = 0; i < files.Count; i++)
        {
            foreach (var tensor in files[i].Tensors)
            {
                var expected = FileOf.GetValueOrDefault(tensor.Name);
                tensors.Add(expected == Files[i] ? tensor with { File = i } : throw Errors.IndexDisagrees(tensor.Name, Files[i], expected));
            }

            // Of texts that differ from file to file, the first is kept.
            metadata = files[i].Metadata.SetItems(metadata);
            foreach (var value in files[i].Values.EnumerateObject())
            {
                if (!values.TryAdd(value.Name, value.Value))
                {
                    throw Errors.NameCollision(value.Name, "values");
                }
            }
        }

        var found = tensors.Select(tensor => tensor.Name).ToHashSet(StringComparer.Ordinal);
        return FileOf.FirstOrDefault(entry => !found.Contains(entry.Key)) is { Key: { } missing, Value: var file }
            ? throw Errors.IndexDisagrees(missing, null, file)
            : new()
            {
                Format = files[0].Format,
                Tensors = tensors.DrainToImmutable(),
                Metadata = metadata,
                Values = JsonSerializer.SerializeToElement(values, IndexJson.Default.DictionaryStringJsonElement),
            };
    }

    private static bool IsPlainFileName(string? file) =>
        file is { Length: > 0 } and not ("." or "..") && !file.AsSpan().ContainsAny('/', '\\', ':') && !file.AsSpan().ContainsAnyInRange('\0', '\x1f');

    private sealed record Document([property: JsonPropertyName("weight_map")] Dictionary<string, string>? WeightMap);

    [JsonSourceGenerationOptions(AllowDuplicateProperties = false, GenerationMode = JsonSourceGenerationMode.Metadata)]
    [JsonSerializable(typeof(Document))]
    [JsonSerializable(typeof(Dictionary<string, JsonElement>))]
    private sealed partial class IndexJson : JsonSerializerContext;
}
