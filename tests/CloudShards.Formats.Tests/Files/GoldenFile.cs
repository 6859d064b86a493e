using CloudShards.Testing;

namespace CloudShards.Formats.Tests.Files;

/// <summary>Holds what the parser says of a file of the corpus against the file's sidecar.</summary>
internal static class GoldenFile
{
    // Files whose sidecars leave tensors out.
    private static readonly string[] Unspecified = ["evil_global_only.pt", "evil_codecs.pt"];

    /// <summary>The files of a format that must be described (<c>ok</c>), may be, or must not be.</summary>
    public static TheoryData<string> Names(string format, CorpusExpectation expectation) =>
        CorpusFile.Names(file => file.Format == format && ExpectationOf(file) == expectation);

    /// <summary>The files whose names start with one of <paramref name="groups"/>.</summary>
    public static TheoryData<string> Names(params string[] groups) =>
        CorpusFile.Names(file => file.Format != "hf-index" && groups.Any(group => file.Name.StartsWith(group, StringComparison.Ordinal)));

    /// <summary>Asserts that a file is listed exactly, tensor by tensor and byte by byte.</summary>
    public static void AssertListed(CorpusFile file)
    {
        var bytes = file.ReadAllBytes();
        var description = CheckpointBytes.Describe(bytes);

        Assert.Equal(file.Format, description.Format.Name());
        Assert.Equal(file.Tensors.Select(tensor => tensor.Name), description.Tensors.Select(tensor => tensor.Name));
        foreach (var (expected, tensor) in file.Tensors.Zip(description.Tensors))
        {
            Assert.Equal(expected.DType, tensor.DType.Name());
            Assert.Equal(TensorShape.Create([.. expected.Shape]), tensor.Shape);
            Assert.Equal(expected.Bytes, tensor.Bytes);
            Assert.Equal(expected.Digest, Digest.Of(NaiveGather.Gather(tensor, bytes)));
            if (tensor.Contiguous is { } range)
            {
                Assert.Equal(expected.Digest, Digest.Of(bytes.AsSpan((int)range.Offset, (int)range.Length)));
            }
            else
            {
                Assert.Equal(expected.Digest, Digest.Of(Gathered(tensor, bytes)));
            }
        }
    }

    /// <summary>Asserts that a file is refused, or listed exactly where its sidecar allows it and says what is in it.</summary>
    public static void AssertRefusedOrListed(CorpusFile file)
    {
        var refusal = CheckpointBytes.TryDescribe(file.ReadAllBytes());
        if (refusal is null && !Unspecified.Contains(file.Name))
        {
            Assert.NotEqual(CorpusExpectation.Reject, file.Expect);
            AssertListed(file);
        }
    }

    // Two names that collide are a refusal by design; the sidecar tells what PyTorch makes of the file.
    private static CorpusExpectation ExpectationOf(CorpusFile file) => file.Name == "name_collision.pt" ? CorpusExpectation.Reject : file.Expect;

    private static byte[] Gathered(TensorInfo tensor, byte[] file)
    {
        const int WindowElements = 7;
        const int BlockElements = 5;
        var gather = new TensorGather(tensor);
        var gathered = new byte[tensor.Bytes];
        var elements = tensor.Shape.ElementCount();
        for (long first = 0; first < elements; first += WindowElements)
        {
            var count = Math.Min(WindowElements, elements - first);
            var window = gathered.AsSpan((int)first * gather.ElementBytes, (int)count * gather.ElementBytes);
            var source = gather.SourceOf(first, count);
            for (var at = source.Offset; at < source.End; at += BlockElements * gather.ElementBytes)
            {
                gather.Gather(first, window, at, file.AsSpan((int)at, (int)Math.Min(BlockElements * gather.ElementBytes, source.End - at)));
            }

            gather.Finish(window);
        }

        return gathered;
    }
}
