using System.Collections.Immutable;
using System.Text.Json;
using System.Text.Json.Serialization;
using System.Text.RegularExpressions;
using CloudShards.Formats;
using Xunit;

namespace CloudShards.Testing;

/// <summary>What a reader must do with a file.</summary>
public enum CorpusExpectation
{
    /// <summary>List exactly the file's tensors with exactly their bytes.</summary>
    Ok,

    /// <summary>Refuse the file with a typed error: no code run, no large allocation, no hang.</summary>
    Reject,

    /// <summary>Either of the two.</summary>
    Either,
}

/// <summary>A checkpoint in <c>tests/Corpus</c>, as its sidecar (<c>F.json</c> beside <c>F</c>) describes it.</summary>
public sealed partial record CorpusFile
{
    private static readonly JsonSerializerOptions Sidecar = new()
    {
        PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower,
        Converters = { new JsonStringEnumConverter(JsonNamingPolicy.SnakeCaseLower) },
    };

    /// <summary>Every file, by name.</summary>
    public static ImmutableArray<CorpusFile> All { get; } = Read(Repository.Corpus);

    /// <summary>
    /// Published checkpoints, which are too many and under too many licences to be in the repository: those in <c>shared/real</c> beside
    /// the clone, or none where there is no such folder.
    /// </summary>
    public static ImmutableArray<CorpusFile> RealFiles { get; } = Read(System.IO.Path.Combine(Repository.Root, "..", "shared", "real"));

    /// <summary>The path within the corpus, as in <c>plain.pt</c> or <c>hf_st/model-00001-of-00002.safetensors</c>.</summary>
    [JsonPropertyName("file")]
    public required string Name { get; init; }

    /// <summary>
    /// <c>torch-zip</c>, <c>torch-legacy</c>, <c>torch-tar</c>, <c>torchscript</c>, <c>safetensors</c>, <c>torchsharp</c>,
    /// <c>hf-index</c> or <c>other</c>.
    /// </summary>
    public required string Format { get; init; }

    /// <summary>What a reader must do.</summary>
    public CorpusExpectation Expect { get; init; }

    /// <summary>The file's size.</summary>
    public required long Bytes { get; init; }

    /// <summary>What is special about the file.</summary>
    public string? Why { get; init; }

    /// <summary>The tensors, in the file's order.</summary>
    public required ImmutableArray<CorpusTensor> Tensors { get; init; }

    /// <summary>The file itself.</summary>
    [JsonIgnore]
    public string Path { get; private init; } = "";

    /// <summary>The file of <see cref="All"/> with this name.</summary>
    public static CorpusFile Get(string name) => All.Single(file => file.Name == name);

    /// <summary>The names of the files of <see cref="All"/> that <paramref name="where"/> admits, as the data of a theory.</summary>
    public static TheoryData<string> Names(Func<CorpusFile, bool> where) => [.. All.Where(where).Select(file => file.Name)];

    /// <summary>The file's bytes.</summary>
    public byte[] ReadAllBytes() => File.ReadAllBytes(Path);

    /// <inheritdoc/>
    public override string ToString() => Name;

    private static ImmutableArray<CorpusFile> Read(string folder) => !Directory.Exists(folder) ? [] :
    [
        .. Directory.EnumerateFiles(folder, "*.json", SearchOption.AllDirectories)
            .Where(sidecar => File.Exists(Described(sidecar)))
            .Select(ReadSidecar)
            .OrderBy(file => file.Name, StringComparer.Ordinal),
    ];

    private static CorpusFile ReadSidecar(string path)
    {
        var text = LoneSurrogate.Replace(File.ReadAllText(path), "\\ufffd");
        return JsonSerializer.Deserialize<CorpusFile>(text, Sidecar)! with { Path = Described(path) };
    }

    private static string Described(string sidecar) => sidecar[..^".json".Length];

    // A pickle can hold half a UTF-16 pair, which no JSON reader gives out as text.
    [GeneratedRegex(@"\\ud[89ab][0-9a-f]{2}(?!\\ud[c-f])")]
    private static partial Regex LoneSurrogate { get; }
}

/// <summary>A tensor of a <see cref="CorpusFile"/>.</summary>
public sealed record CorpusTensor
{
    // PyTorch's dtypes for which safetensors has no name, and TorchSharp's names of all.
    private static readonly Dictionary<string, string> OwnNames = new()
    {
        ["complex128"] = "C128",
        ["complex32"] = "C32",
        ["qint8"] = "I8",
        ["quint8"] = "U8",
        ["qint32"] = "I32",
        ["Byte"] = "U8",
        ["Int8"] = "I8",
        ["Int16"] = "I16",
        ["Int32"] = "I32",
        ["Int64"] = "I64",
        ["Float16"] = "F16",
        ["BFloat16"] = "BF16",
        ["Float32"] = "F32",
        ["Float64"] = "F64",
        ["ComplexFloat32"] = "C64",
        ["ComplexFloat64"] = "C128",
        ["Bool"] = "BOOL",
    };

    /// <summary>The keys that lead to it, joined by dots.</summary>
    public required string Name { get; init; }

    /// <summary>The keys that lead to it: texts, numbers.</summary>
    [JsonPropertyName("path")]
    public required ImmutableArray<JsonElement> Keys { get; init; }

    /// <summary>
    /// PyTorch's name of the dtype, as in <c>bfloat16</c>; TorchSharp's in files that it wrote; null in published safetensors.
    /// </summary>
    [JsonPropertyName("dtype")]
    public string? TorchDType { get; init; }

    /// <summary>safetensors' name of the dtype, as in <c>BF16</c>; null where it has none or the sidecar does not say.</summary>
    [JsonPropertyName("st")]
    public string? SafetensorsDType { get; init; }

    /// <summary>The name of the dtype in a manifest, as in <c>BF16</c>.</summary>
    [JsonIgnore]
    public string DType => SafetensorsDType ?? OwnNames[TorchDType!];

    /// <summary>The sizes, outermost first.</summary>
    public required ImmutableArray<long> Shape { get; init; }

    /// <summary>Bytes of the contiguous tensor.</summary>
    [JsonPropertyName("nbytes")]
    public required long Bytes { get; init; }

    /// <summary>
    /// SHA-256 in hex over the contiguous, row-major, little-endian bytes, conjugation resolved; of a quantised tensor its integers.
    /// </summary>
    public required string Sha256 { get; init; }

    /// <summary>Whether the tensor is one to train.</summary>
    public bool RequiresGrad { get; init; }

    /// <summary>Strides in elements, where not contiguous; else default.</summary>
    public ImmutableArray<long> Stride { get; init; }

    /// <summary>The first element within the TorchStorage.</summary>
    public long StorageOffset { get; init; }

    /// <summary>Bytes of the TorchStorage, where it is larger or smaller than the tensor.</summary>
    [JsonPropertyName("storage_nbytes")]
    public long? StorageBytes { get; init; }

    /// <summary>Tensors of one file with the same group share a TorchStorage.</summary>
    public int? Group { get; init; }

    /// <summary>Scheme, scales and zero points of a quantised tensor.</summary>
    public JsonElement? Quant { get; init; }

    /// <summary>The layout (<c>coo</c>, <c>csr</c>) of the sparse tensor that this one is a component of.</summary>
    public string? Sparse { get; init; }

    /// <summary>The sizes of that sparse tensor.</summary>
    public ImmutableArray<long> DenseShape { get; init; }

    /// <summary><see cref="Sha256"/> as a digest.</summary>
    [JsonIgnore]
    public Digest Digest => Digest.Parse($"sha256:{Sha256}");

    /// <inheritdoc/>
    public override string ToString() => Name;
}
