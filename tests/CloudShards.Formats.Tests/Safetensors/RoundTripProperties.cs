using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using CloudShards.Formats.Tests.Files;
using CsCheck;

namespace CloudShards.Formats.Tests.Safetensors;

public sealed class RoundTripProperties
{
    private static readonly JsonSerializerOptions Escaped = new() { Encoder = JavaScriptEncoder.Default };
    private static readonly JsonSerializerOptions Unescaped = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    private static readonly Gen<string> Names = Gen.OneOf(
        Gen.String[Gen.Char["ab.0"], 0, 6],
        Gen.String[0, 6].Where(text => !text.Any(char.IsSurrogate)),
        Gen.Const("\U0001f642\"\\\0"));

    private static readonly Gen<(string Name, TensorDType DType, long[] Sizes)> Tensor = Gen.Select(
        Names,
        Gen.Enum<TensorDType>(),
        Gen.Long[0, 4].Array[0, 4],
        (name, dtype, sizes) => (name, dtype, dtype.Bits() % 8 == 0 ? sizes : [.. sizes, 4]));

    // The tensors, their places in the data, the order of the header, metadata, escapes and spaces are all arbitrary.
    [Fact]
    public void AHeaderReadsBackAsItWasWritten() =>
        Gen.Select(Tensor.Array[0, 8], Gen.Int.Array[8], Gen.Dictionary(Names, Names)[0, 3], Gen.Bool, Gen.Int[0, 9]).Sample(
            (written, order, metadata, escaped, spaces) =>
            {
                var tensors = written.DistinctBy(tensor => tensor.Name).Where(tensor => tensor.Name != "__metadata__").ToArray();
                var ends = new Dictionary<string, long>();
                var end = 0L;
                foreach (var (tensor, _) in tensors.Zip(order).OrderBy(pair => pair.Second))
                {
                    ends[tensor.Name] = end += TensorShape.Create(tensor.Sizes).ByteCount(tensor.DType);
                }

                var header = Header(tensors, ends, metadata, escaped) + new string(' ', spaces);
                var description = CheckpointBytes.Describe(SafetensorsBytes.File(header, (int)end));

                var start = sizeof(ulong) + Encoding.UTF8.GetByteCount(header);
                Assert.Equal(CheckpointFormat.Safetensors, description.Format);
                Assert.Equal(tensors.Select(tensor => tensor.Name), description.Tensors.Select(tensor => tensor.Name));
                Assert.Equal(metadata.OrderBy(pair => pair.Key, StringComparer.Ordinal), description.Metadata);
                Assert.Equal("{}", description.Values.GetRawText());
                foreach (var (tensor, read) in tensors.Zip(description.Tensors))
                {
                    var bytes = TensorShape.Create(tensor.Sizes).ByteCount(tensor.DType);
                    Assert.Equal((tensor.DType, TensorShape.Create(tensor.Sizes), bytes), (read.DType, read.Shape, read.Bytes));
                    Assert.Equal(new ByteRange(start + ends[tensor.Name] - bytes, bytes), read.Contiguous);
                }
            });

    private static string Header(
        (string Name, TensorDType DType, long[] Sizes)[] tensors, Dictionary<string, long> ends, Dictionary<string, string> metadata, bool escaped)
    {
        var entries = tensors.Select(tensor =>
        {
            var end = ends[tensor.Name];
            var begin = end - TensorShape.Create(tensor.Sizes).ByteCount(tensor.DType);
            return KeyValuePair.Create<string, object>(tensor.Name, new { dtype = tensor.DType.Name(), shape = tensor.Sizes, data_offsets = new[] { begin, end } });
        });
        if (metadata.Count > 0)
        {
            entries = entries.Prepend(KeyValuePair.Create<string, object>("__metadata__", metadata));
        }

        return JsonSerializer.Serialize(entries.ToDictionary(), escaped ? Escaped : Unescaped);
    }
}
