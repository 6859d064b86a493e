using CloudShards.Testing;

namespace CloudShards.Fuzzing;

/// <summary>Makes files: the corpus changed at random, and structures filled at random so that the inner parsers are reached.</summary>
internal sealed class FuzzInputs
{
    public const string Manifest = "manifest";

    // Larger files are slow to copy and reach nothing that smaller ones do not.
    private const int MaxSeedBytes = 48 << 10;

    private readonly byte[][] _corpus =
        [.. CorpusFile.All.Select(file => file.ReadAllBytes()).Where(bytes => bytes.Length is > 0 and <= MaxSeedBytes)];

    private readonly byte[][] _pickles;

    public FuzzInputs() => _pickles = [.. _corpus.Select(ZipFile.PickleOf).OfType<byte[]>()];

    public (string Kind, byte[] File) Make(Random random) => random.Next(10) switch
    {
        < 3 => ("mutated file", Mutations.Apply(random, Pick(random, _corpus), Pick(random, _corpus))),
        < 6 => ("mutated pickle", ZipFile.Around(random, Mutations.Apply(random, Pick(random, _pickles), Pick(random, _pickles)))),
        < 7 => ("generated pickle", ZipFile.Around(random, PickleGrammar.Make(random))),
        < 8 => ("generated safetensors", SafetensorsGrammar.File(random)),
        < 9 => ("generated TorchSharp", TorchSharpGrammar.Make(random)),
        _ => (Manifest, SafetensorsGrammar.Manifest(random)),
    };

    private static byte[] Pick(Random random, byte[][] from) => from[random.Next(from.Length)];
}
