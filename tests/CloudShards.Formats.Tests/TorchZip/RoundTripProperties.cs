using System.Text.Json;
using CloudShards.Formats.Tests.Files;
using CsCheck;
using static CloudShards.Formats.Tests.Files.PickleBytes;

namespace CloudShards.Formats.Tests.TorchZip;

public sealed class RoundTripProperties
{
    private static readonly (string Class, TensorDType DType)[] Types =
    [
        ("FloatStorage", TensorDType.F32), ("HalfStorage", TensorDType.F16), ("LongStorage", TensorDType.I64), ("ByteStorage", TensorDType.U8),
        ("ComplexDoubleStorage", TensorDType.C128),
    ];

    // A view of a storage that holds just the elements that it reaches.
    private static readonly Gen<View> Views = Gen.Select(
        Gen.Int[0, Types.Length - 1], Gen.Select(Gen.Long[0, 4], Gen.Long[0, 9]).Array[0, 4], Gen.Long[0, 5], Gen.Long[0, 3], (type, dimensions, offset, rest) =>
        {
            long[] sizes = [.. dimensions.Select(dimension => dimension.Item1)];
            long[] strides = [.. dimensions.Select(dimension => dimension.Item2)];
            var last = sizes.Contains(0) ? 0 : sizes.Zip(strides, (size, stride) => (size - 1) * stride).Sum();
            return new View(Types[type].Class, Types[type].DType, sizes, strides, offset, offset + last + 1 + rest);
        });

    private static readonly Gen<string> Keys = Gen.OneOf(Gen.String[Gen.Char["ab.0"], 0, 4], Gen.String[0, 4].Where(text => !text.Any(char.IsSurrogate)));

    private static readonly Gen<(byte[] Pickle, string Json)> Leaves = Gen.OneOf(
        Gen.OneOfConst((None, "null"), (True, "true"), (False, "false"), (EmptyDict, "{}"), (EmptyTuple, "[]")),
        Gen.Long.Select(number => (Integer(number), JsonSerializer.Serialize(number))),
        Gen.Int.Select(number => (Float(number + 0.5), JsonSerializer.Serialize(number + 0.5))),
        Keys.Select(text => (Text(text), JsonSerializer.Serialize(text))),
        Gen.Byte.Array[0, 4].Select(bytes => (Bytes(bytes), $$"""{"$bytes":"{{Convert.ToBase64String(bytes)}}"}""")));

    private static readonly Gen<Node> Nodes = Gen.Recursive<Node>((depth, node) => depth > 3
        ? Views.Select(view => new Node(view, null, null, null))
        : Gen.Frequency(
            (3, Views.Select(view => new Node(view, null, null, null))),
            (2, Leaves.Select(leaf => new Node(null, leaf, null, null))),
            (2, Gen.Select(Keys, node).Array[1, 4].Select(items => new Node(null, null, [.. items.DistinctBy(item => item.Item1)], null))),
            (1, node.Array[1, 3].Select(items => new Node(null, null, null, items)))));

    [Fact]
    public void AStateDictReadsBackAsItWasWritten() => Gen.Select(Nodes, Nodes, Gen.Bool, Gen.Bool).Sample((first, second, zip64, big) =>
    {
        var expected = new Expected();
        var pickle = Pickle(Dict(("a", first.Write("a", expected)), ("b", second.Write("b", expected))));
        var records = expected.Tensors.Select((named, i) => ($"{i}", new byte[named.View.Elements * named.View.DType.Bits() / 8])).ToArray();
        var zip = new ZipBytes([.. ZipBytes.CheckpointEntries(pickle, records), new("archive/byteorder", big ? "big"u8.ToArray() : "little"u8.ToArray())]) { Zip64 = zip64 };
        if (expected.Collides)
        {
            Assert.Equal(CheckpointError.BadName, CheckpointBytes.Refuse(zip.ToArray()).Error);
            return;
        }

        var file = zip.ToArray();
        var description = CheckpointBytes.Describe(file);

        Assert.Equal(expected.Tensors.Select(named => named.Name), description.Tensors.Select(tensor => tensor.Name));
        Assert.Equal(expected.Values.Select(value => value.Name), description.Values.EnumerateObject().Select(value => value.Name));
        Assert.All(expected.Values.Zip(description.Values.EnumerateObject()), pair =>
            Assert.True(JsonElement.DeepEquals(JsonElement.Parse(pair.First.Json), pair.Second.Value), pair.Second.Value.GetRawText()));
        foreach (var ((view, tensor), i) in expected.Tensors.Select(named => named.View).Zip(description.Tensors).Select((pair, i) => (pair, i)))
        {
            Assert.Equal((view.DType, TensorShape.Create(view.Sizes)), (tensor.DType, tensor.Shape));
            Assert.Equal(view.Elements * view.DType.Bits() / 8, tensor.Layout.Extent.Length);
            Assert.Equal(big && view.DType != TensorDType.U8 ? ElementTransform.SwapBytes : ElementTransform.None, tensor.Layout.Transform);
            Assert.Equal(file.AsSpan().IndexOf(System.Text.Encoding.UTF8.GetBytes($"archive/data/{i}")) + $"archive/data/{i}".Length, tensor.Layout.Extent.Offset);
            if (!view.Sizes.Contains(0))
            {
                Assert.Equal(view.Offset, tensor.Layout.ElementOffset);
                Assert.Equal(view.Strides, tensor.Layout.Strides);
            }
        }
    });

    internal sealed record View(string Class, TensorDType DType, long[] Sizes, long[] Strides, long Offset, long Elements)
    {
        public byte[] Write(int key) => Tensor(Storage($"{key}", Elements, Class), Sizes, Strides, Offset);
    }

    internal sealed class Expected
    {
        public List<(string Name, View View)> Tensors { get; } = [];

        public List<(string Name, string Json)> Values { get; } = [];

        public bool Collides => Tensors.DistinctBy(tensor => tensor.Name).Count() < Tensors.Count || Values.DistinctBy(value => value.Name).Count() < Values.Count;
    }

    /// <summary>A tensor, a value, a dict or a list.</summary>
    internal sealed record Node(View? View, (byte[] Pickle, string Json)? Leaf, (string Key, Node Value)[]? Items, Node[]? Elements)
    {
        private bool IsPlain => Leaf is { Json: not "{}" } || Elements?.All(element => element.IsPlain) == true;

        private string Json => Leaf?.Json ?? $"[{string.Join(',', Elements!.Select(element => element.Json))}]";

        public byte[] Write(string path, Expected expected)
        {
            if (View is not null)
            {
                expected.Tensors.Add((path, View));
                return View.Write(expected.Tensors.Count - 1);
            }

            if (Leaf is not null || (Elements is not null && IsPlain))
            {
                expected.Values.Add((path, Json));
                return Plain();
            }

            return Items is not null
                ? Dict([.. Items.Select(item => (item.Key, item.Value.Write($"{path}.{item.Key}", expected)))])
                : List([.. Elements!.Select((element, i) => element.Write($"{path}.{i}", expected))]);
        }

        private byte[] Plain() => Leaf?.Pickle ?? List([.. Elements!.Select(element => element.Plain())]);
    }
}
