using System.Text.Json;
using CloudShards.Formats.Tests.Files;
using static CloudShards.Formats.Tests.Files.PickleBytes;

namespace CloudShards.Formats.Tests.TorchZip;

public sealed class ValuesTests
{
    private static readonly byte[] T = Tensor(Storage("0", 4), [4]);

    // What a checkpoint holds beside tensors, and the JSON that keeps it.
    public static TheoryData<byte[], string> Leaves => new()
    {
        { None, "null" },
        { True, "true" },
        { False, "false" },
        { Integer(-7), "-7" },
        { Integer(long.MaxValue), "9223372036854775807" },
        { Integer(System.Numerics.BigInteger.Pow(10, 30)), "1000000000000000000000000000000" },
        { "I42\n"u8.ToArray(), "42" },
        { "I01\n"u8.ToArray(), "true" },
        { "I00\n"u8.ToArray(), "false" },
        { "L-12345678901L\n"u8.ToArray(), "-12345678901" },
        { [0x8a, 0], "0" },
        { [0x8a, 1, 0xff], "-1" },
        { [(byte)'K', 255], "255" },
        { [(byte)'M', 255, 255], "65535" },
        { Float(1), "1.0" },
        { Float(-0.0), "-0.0" },
        { Float(0.1), "0.1" },
        { Float(1e300), "1E+300" },
        { Float(double.NaN), """{"$float":"nan"}""" },
        { Float(double.PositiveInfinity), """{"$float":"inf"}""" },
        { Float(double.NegativeInfinity), """{"$float":"-inf"}""" },
        { Text("a\n\"é\U0001f642"), "\"a\\n\\\"é🙂\"" },
        { Bytes(0, 255), """{"$bytes":"AP8="}""" },
        { [(byte)'C', 1, 7], """{"$bytes":"Bw=="}""" },
        { [0x8e, 1, 0, 0, 0, 0, 0, 0, 0, 7], """{"$bytes":"Bw=="}""" },
        { [0x96, 1, 0, 0, 0, 0, 0, 0, 0, 7], """{"$bytes":"Bw=="}""" },
        { Call("_codecs", "encode", Text("\u0007é"), Text("latin1")), """{"$bytes":"B+k="}""" },
        { Call("__builtin__", "bytearray", Text("\u0007"), Text("latin-1")), """{"$bytes":"Bw=="}""" },
        { Call("builtins", "bytearray", Bytes(7)), """{"$bytes":"Bw=="}""" },
        { Call("builtins", "bytearray"), """{"$bytes":""}""" },
        { Call("builtins", "complex", Float(1), Float(-2.5)), """{"$complex":[1.0,-2.5]}""" },
        { Call("torch", "device", Text("cpu")), "\"cpu\"" },
        { Call("torch", "device", Text("cuda"), Integer(1)), "\"cuda:1\"" },
        { Call("torch", "Size", Tuple(Integer(2), Integer(3))), "[2,3]" },
        { Call("builtins", "set", List(Integer(1))), "[1]" },
        { Call("builtins", "frozenset"), "[]" },
        { Global("torch", "float16"), """{"$name":"torch.float16"}""" },
        { Call("argparse", "Namespace"), """{"$object":"argparse.Namespace"}""" },
        { [.. Global("my.module", "Config"), (byte)')', 0x81, .. Dict(("a", Integer(1))), (byte)'b'], """{"$object":"my.module.Config"}""" },
        { [.. Global("a", "B"), (byte)')', .. Dict(("k", None)), 0x92], """{"$object":"a.B"}""" },
        { [.. Call("collections", "deque"), (byte)'(', .. Integer(1), (byte)'e'], """{"$object":"collections.deque"}""" },
        { EmptyDict, "{}" },
        { EmptyList, "[]" },
        { EmptyTuple, "[]" },
        { EmptySet, "[]" },
        { List(Integer(1), Tuple(Text("a"), None), List()), """[1,["a",null],[]]""" },
    };

    [Theory]
    [MemberData(nameof(Leaves))]
    public void AValueIsKeptAsJson(byte[] leaf, string json)
    {
        var values = Values(Dict(("w", T), ("v", leaf)));

        Assert.Equal(["v"], values.EnumerateObject().Select(property => property.Name));
        var (expected, value) = (JsonElement.Parse(json), values.GetProperty("v"));
        Assert.True(JsonElement.DeepEquals(expected, value), value.GetRawText());
        Assert.True(value.ValueKind == JsonValueKind.String || value.GetRawText() == json, value.GetRawText());
    }

    [Fact]
    public void NestedValuesAreNamedLikeTensors()
    {
        var values = Values(Dict(
            ("epoch", Integer(3)),
            ("optimizer", Dict(("state", DictOf((Integer(0), Dict(("step", Integer(7)), ("exp_avg", T))))), ("param_groups", List(Dict(("lr", Float(0.1)))))))));

        Assert.Equal("""{"epoch":3,"optimizer.state.0.step":7,"optimizer.param_groups.0.lr":0.1}""", values.GetRawText());
    }

    // What is inside an object is not kept, and does not count.
    [Fact]
    public void AnObjectIsOneValue()
    {
        var vocabulary = Call("my", "Vocabulary", List([.. Enumerable.Range(0, 100).Select(i => Integer(i))]));
        var description = CheckpointBytes.Describe(ZipBytes.Checkpoint(Pickle(Dict(("v", vocabulary)))), new() { MaxValues = 1 });

        Assert.Equal("""{"v":{"$object":"my.Vocabulary"}}""", description.Values.GetRawText());
    }

    [Fact]
    public void TwoValuesOfOneNameAreRefused() => Assert.Equal(
        ("a.b", CheckpointError.BadName),
        CheckpointBytes.Refuse(ZipBytes.Checkpoint(Pickle(Dict(("a.b", None), ("a", Dict(("b", True))))))) is var e ? (e.Tensor, e.Error) : default);

    [Fact]
    public void AValueAndATensorMayShareAName()
    {
        var description = CheckpointBytes.Describe(ZipBytes.Checkpoint(Pickle(Dict(("a.b", None), ("a", Dict(("b", T))))), ("0", new byte[16])));

        Assert.Equal("a.b", Assert.Single(description.Tensors).Name);
        Assert.Equal("""{"a.b":null}""", description.Values.GetRawText());
    }

    // What a description holds must fit into a manifest, whose readers bound the depth of JSON at 64.
    [Fact]
    public void TheDeepestValueFitsIntoAManifest()
    {
        var deepest = 0;
        for (var depth = 1; depth <= 100; depth++)
        {
            var leaf = Call("builtins", "complex", Float(1), Float(2));
            for (var i = 0; i < depth; i++)
            {
                leaf = List(leaf);
            }

            var file = ZipBytes.Checkpoint(Pickle(Dict(("v", leaf))));
            if (CheckpointBytes.TryDescribe(file) is { } refusal)
            {
                Assert.Equal(CheckpointError.LimitExceeded, refusal.Error);
                continue;
            }

            deepest = depth;
            var manifest = new ShardManifest { Name = "a", ChunkBytes = 1, Tensors = [], Values = CheckpointBytes.Describe(file).Values };
            Assert.Equal(manifest.ToUtf8(), ShardManifest.Parse(manifest.ToUtf8()).ToUtf8());
        }

        Assert.InRange(deepest, 16, 64);
    }

    private static JsonElement Values(byte[] root) => CheckpointBytes.Describe(ZipBytes.Checkpoint(Pickle(root), ("0", new byte[16]))).Values;
}
