using CloudShards.Testing;

namespace CloudShards.Fuzzing;

/// <summary>Makes files: the corpus changed at random, and structures filled at random so that the inner parsers are reached.</summary>
internal sealed class FuzzInputs
{
    public const string Manifest = "manifest";
    public const string Index = "index of a set";
    public const string Amplifier = "amplifier";

    // Larger files are slow to copy and reach little that smaller ones do not: they are taken more seldom.
    private const int SmallSeedBytes = 16 << 10;
    private const int MaxSeedBytes = 256 << 10;

    private readonly byte[][] _small;
    private readonly byte[][] _large;
    private readonly byte[][] _pickles;

    public FuzzInputs()
    {
        var corpus = CorpusFile.All.Select(file => file.ReadAllBytes()).Where(bytes => bytes.Length is > 0 and <= MaxSeedBytes).ToLookup(bytes => bytes.Length <= SmallSeedBytes);
        (_small, _large) = ([.. corpus[true]], [.. corpus[false]]);
        _pickles = [.. _small.Concat(_large).Select(ZipFile.PickleOf).OfType<byte[]>()];
    }

    /// <summary>The file of a case.</summary>
    /// <param name="random">Decides it.</param>
    /// <param name="scale">How large an amplifier is; other files are as large as they are.</param>
    public (string Kind, byte[] File) Make(Random random, int scale) => random.Next(500) switch
    {
        0 => (Amplifier, ZipFile.Around(random, AmplifierGrammar.Make(random, scale))),
        < 5 => ("mutated large file", Mutations.Apply(random, Pick(random, _large), Pick(random, _small))),
        < 110 => ("mutated file", Mutations.Apply(random, Pick(random, _small), Pick(random, _small))),
        < 210 => ("mutated pickle", ZipFile.Around(random, Mutations.Apply(random, Pick(random, _pickles), Pick(random, _pickles)))),
        < 270 => ("generated pickle", ZipFile.Around(random, PickleGrammar.Make(random))),
        < 310 => ("generated safetensors", SafetensorsGrammar.File(random)),
        < 340 => ("generated TorchSharp", TorchSharpGrammar.Make(random)),
        < 400 => ("generated zip", ArchiveGrammar.Zip(random)),
        < 435 => ("generated legacy", ArchiveGrammar.Legacy(random)),
        < 460 => ("generated tar", ArchiveGrammar.Tar(random)),
        < 475 => (Index, SafetensorsGrammar.Index(random)),
        _ => (Manifest, SafetensorsGrammar.Manifest(random)),
    };

    private static byte[] Pick(Random random, byte[][] from) => from[random.Next(from.Length)];
}
