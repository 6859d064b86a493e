using System.Buffers.Binary;
using System.Text;
using CloudShards.Formats.Tests.Files;
using static CloudShards.Formats.Tests.Files.PickleBytes;

namespace CloudShards.Formats.Tests.TorchZip;

public sealed class HonestPickleTests
{
    private static readonly byte[] W = Storage("0", 4);

    // PyTorch's storage classes and the dtypes that they stand for.
    [Theory]
    [InlineData("DoubleStorage", TensorDType.F64)]
    [InlineData("FloatStorage", TensorDType.F32)]
    [InlineData("HalfStorage", TensorDType.F16)]
    [InlineData("BFloat16Storage", TensorDType.BF16)]
    [InlineData("LongStorage", TensorDType.I64)]
    [InlineData("IntStorage", TensorDType.I32)]
    [InlineData("ShortStorage", TensorDType.I16)]
    [InlineData("CharStorage", TensorDType.I8)]
    [InlineData("ByteStorage", TensorDType.U8)]
    [InlineData("BoolStorage", TensorDType.Bool)]
    [InlineData("ComplexFloatStorage", TensorDType.C64)]
    [InlineData("ComplexDoubleStorage", TensorDType.C128)]
    public void AStorageClassGivesTheDType(string type, TensorDType dtype)
    {
        foreach (var module in (string[])["torch", "torch.cuda", "torch.storage"])
        {
            var tensor = Describe(Tensor(Storage("0", 4, type, module, "cuda:3"), [4]), 4 * dtype.Bits() / 8);

            Assert.Equal((dtype, new TensorShape([4])), (tensor.DType, tensor.Shape));
        }
    }

    // What _rebuild_tensor_v3 names, over bytes.
    [Theory]
    [InlineData("uint16", TensorDType.U16)]
    [InlineData("uint32", TensorDType.U32)]
    [InlineData("uint64", TensorDType.U64)]
    [InlineData("float8_e5m2", TensorDType.F8E5M2)]
    [InlineData("float8_e4m3fn", TensorDType.F8E4M3)]
    [InlineData("float8_e5m2fnuz", TensorDType.F8E5M2Fnuz)]
    [InlineData("float8_e4m3fnuz", TensorDType.F8E4M3Fnuz)]
    [InlineData("float8_e8m0fnu", TensorDType.F8E8M0)]
    [InlineData("complex32", TensorDType.C32)]
    [InlineData("float32", TensorDType.F32)]
    public void AnUntypedStorageHasTheDTypeOfItsTensor(string name, TensorDType dtype)
    {
        var bytes = 6 * dtype.Bits() / 8;
        var tensor = Describe(TensorV3(Storage("0", bytes, "UntypedStorage", "torch.storage"), name, [2, 2], offset: 2), bytes);

        Assert.Equal((dtype, 2), (tensor.DType, tensor.Layout.ElementOffset));
        Assert.Equal(4 * dtype.Bits() / 8, tensor.Contiguous!.Value.Length);
    }

    [Fact]
    public void ViewsKeepTheirGeometry()
    {
        var tensor = Describe(Tensor(Storage("0", 100), [3, 2], [1, 40], 7), 400);

        Assert.Equal((7, 400), (tensor.Layout.ElementOffset, tensor.Layout.Extent.Length));
        Assert.Equal([1, 40], tensor.Layout.Strides);
        Assert.Null(tensor.Contiguous);
    }

    // x[4:, 3:] of a (4, 5) tensor: PyTorch keeps the offset 23 for an empty tensor on 20 elements.
    [Fact]
    public void AnEmptySliceMayBeginBeyondItsStorage()
    {
        var tensor = Describe(Tensor(Storage("0", 20), [0, 2], [5, 1], 23), 80);

        Assert.Equal(0, tensor.Bytes);
        Assert.Equal(0, tensor.Contiguous!.Value.Length);
    }

    [Theory]
    [InlineData("conj", ElementTransform.Conjugate)]
    [InlineData("neg", ElementTransform.Negate)]
    public void LazyViewsAreTransforms(string flag, ElementTransform transform)
    {
        var storage = Storage("0", 4, "ComplexFloatStorage");
        byte[] View(byte[] value) => Call(
            "torch._utils", "_rebuild_tensor_v2", storage, Integer(0), Numbers(4), Numbers(1), False, OrderedDict, Dict((flag, value)));

        Assert.Equal(transform, Describe(View(True), 32).Layout.Transform);
        Assert.Equal(ElementTransform.None, Describe(View(False), 32).Layout.Transform);
    }

    [Theory]
    [InlineData("BoolStorage", false)]
    [InlineData("ByteStorage", false)]
    [InlineData("HalfStorage", true)]
    [InlineData("ComplexDoubleStorage", true)]
    public void BigEndianElementsAreSwapped(string type, bool swapped)
    {
        var pickle = Pickle(Dict(("w", Tensor(Storage("0", 1, type), [1]))));
        var bytes = type switch { "ComplexDoubleStorage" => 16, "HalfStorage" => 2, _ => 1 };
        var zip = new ZipBytes([.. ZipBytes.CheckpointEntries(pickle, ("0", new byte[bytes])), new("archive/byteorder", "big"u8.ToArray())]);

        Assert.Equal(swapped ? ElementTransform.SwapBytes : ElementTransform.None, CheckpointBytes.Describe(zip.ToArray()).Tensors[0].Layout.Transform);
    }

    // Every way in which a tensor is wrapped, and every pickle protocol's way of writing it.
    public static TheoryData<string, byte[]> Wrapped => new()
    {
        { "v2", Tensor(W, [4]) },
        { "0.3", Call("torch._utils", "_rebuild_tensor", W, Integer(0), Numbers(4), Numbers(1)) },
        { "parameter", Call("torch._utils", "_rebuild_parameter", Tensor(W, [4]), True, OrderedDict) },
        { "parameter with state", Call("torch._utils", "_rebuild_parameter_with_state", Tensor(W, [4]), True, OrderedDict, Dict(("a", Integer(1)))) },
        {
            "subclass", Call(
                "torch._tensor", "_rebuild_from_type_v2", Global("torch._utils", "_rebuild_tensor_v2"), Global("my", "Tensor"),
                Tuple(W, Integer(0), Numbers(4), Numbers(1), False, OrderedDict), Dict(("attribute", Text("x"))))
        },
        { "attributes", [.. Tensor(W, [4]), .. Dict(("a", None)), (byte)'b'] },
        {
            "torch.Size", Call(
                "torch._utils", "_rebuild_tensor_v2", W, Integer(0), Call("torch", "Size", Tuple(Integer(4))), List(Integer(1)), False, OrderedDict)
        },
        { "dead values before", [(byte)'N', (byte)'0', .. "(NN1"u8, .. Tensor(W, [4])] },
        { "memo", [.. Tensor(W, [4]), .. Put(300), (byte)'0', .. Get(300)] },
        { "duplicate", [.. Tensor(W, [4]), (byte)'2', (byte)'0'] },
        { "named by the stack", Join(Text("torch._utils"), [0x94], Text("_rebuild_tensor_v2"), [0x94, 0x93], Tuple(W, Integer(0), Numbers(4), Numbers(1)), "R"u8.ToArray()) },
        { "of protocol 4", Join(Frame(), ShortText("torch._utils"), ShortText("_rebuild_tensor_v2"), [0x93], Tuple(W, Integer(0), Numbers(4), Numbers(1)), "R"u8.ToArray()) },
        { "of Python 2", Call("torch._utils", "_rebuild_tensor_v2", Python2Storage(), Integer(0), Numbers(4), Numbers(1), False, OrderedDict) },
        { "of protocol 1", Call("torch._utils", "_rebuild_tensor_v2", W, "I0\n"u8.ToArray(), Tuple("L4L\n"u8.ToArray()), Tuple("I1\n"u8.ToArray()), "I00\n"u8.ToArray(), OrderedDict) },
        { "with long numbers", Call("torch._utils", "_rebuild_tensor_v2", W, [0x8a, 0], Tuple([0x8b, 1, 0, 0, 0, 4]), Tuple([0x8a, 2, 1, 0]), False, OrderedDict) },
    };

    [Theory]
    [MemberData(nameof(Wrapped))]
    public void ATensorIsReadHoweverItIsWritten(string way, byte[] tensor)
    {
        var read = Describe(tensor, 16);

        Assert.True(read.DType == TensorDType.F32 && read.Shape == new TensorShape([4]), way);
        Assert.Equal(16, read.Contiguous!.Value.Length);
    }

    // Containers, their names, and the tensors under them in order.
    public static TheoryData<byte[], string[]> Nested
    {
        get
        {
            var t = Tensor(W, [4]);
            return new()
            {
                { t, [""] },
                { Dict(("b", t), ("a", t)), ["b", "a"] },
                { Dict(("", t)), [""] },
                { Dict(("a", Dict(("", t), ("b.c", t)))), ["a.", "a.b.c"] },
                { List(t, t), ["0", "1"] },
                { Tuple(t, None, t), ["0", "2"] },
                { [0x8f, (byte)'(', .. t, 0x90], ["0"] },
                { [(byte)'(', .. t, 0x91], ["0"] },
                { [(byte)'(', .. t, (byte)'l'], ["0"] },
                { [(byte)'(', .. Text("k"), .. t, (byte)'d'], ["k"] },
                { [.. EmptyList, .. t, (byte)'a'], ["0"] },
                { [.. EmptyDict, .. Text("k"), .. t, (byte)'s'], ["k"] },
                { [.. t, 0x85], ["0"] },
                { [.. t, .. t, 0x86], ["0", "1"] },
                { [.. t, .. t, .. t, 0x87], ["0", "1", "2"] },
                { Dict(("a", List(Integer(1), Dict(("w", t)), t))), ["a.1.w", "a.2"] },
                { DictOf((Integer(0), t), (Integer(-1), t), (True, t), (None, t), (Float(0.5), t)), ["0", "-1", "True", "None", "0.5"] },
                { DictOf((Integer(1L << 40), t)), ["1099511627776"] },
                { Call("collections", "OrderedDict", List(Tuple(Text("a"), t))), ["a"] },
                { [.. OrderedDict, (byte)'(', .. Text("a"), .. t, (byte)'u', .. Dict(("_metadata", OrderedDict)), (byte)'b'], ["a"] },
                { Call("collections", "defaultdict", Global("__builtin__", "list"), Dict(("a", t))), ["a"] },
                { Call("collections", "Counter", Dict(("a", Integer(2)))), [] },
                { Call("__builtin__", "set", List(t)), ["0"] },
                { [.. t, .. Put(0), (byte)'0', .. Dict(("a", Get(0)), ("tied", Get(0)))], ["a", "tied"] },
                { [.. Dict(("w", t)), .. Put(0), (byte)'0', .. Dict(("a", Get(0)), ("b", Get(0)))], ["a.w", "b.w"] },
                { [.. EmptyDict, .. Put(0), (byte)'(', .. Text("self"), .. Get(0), .. Text("w"), .. t, (byte)'u'], ["w"] },
                { [.. EmptyList, .. Put(0), (byte)'(', .. Get(0), .. t, (byte)'e'], ["1"] },
            };
        }
    }

    [Theory]
    [MemberData(nameof(Nested))]
    public void NamesAreTheKeysThatLeadToATensor(byte[] root, string[] names)
    {
        ArgumentNullException.ThrowIfNull(names);
        var description = CheckpointBytes.Describe(ZipBytes.Checkpoint(Pickle(root), ("0", new byte[16])));

        Assert.Equal(names, description.Tensors.Select(tensor => tensor.Name));
    }

    // Text as the pickle has it, and the key that it must give.
    [Theory]
    [InlineData(new byte[] { (byte)'U', 2, 0xc3, 0xa9 }, "é")]
    [InlineData(new byte[] { (byte)'U', 1, 0xe9 }, "é")]
    [InlineData(new byte[] { (byte)'T', 1, 0, 0, 0, 0x61 }, "a")]
    [InlineData(new byte[] { 0x8c, 2, 0xc3, 0xa9 }, "é")]
    [InlineData(new byte[] { 0x8d, 1, 0, 0, 0, 0, 0, 0, 0, 0x61 }, "a")]
    [InlineData(new byte[] { (byte)'X', 4, 0, 0, 0, 0xf0, 0x9f, 0x99, 0x82 }, "\U0001f642")]
    [InlineData(new byte[] { (byte)'X', 1, 0, 0, 0, 0 }, "\0")]
    public void KeysMayBeTextOfAnyKind(byte[] key, string name) =>
        Assert.Equal(name, CheckpointBytes.Describe(ZipBytes.Checkpoint(Pickle(DictOf((key, Tensor(W, [4])))), ("0", new byte[16]))).Tensors[0].Name);

    [Fact]
    public void BytesAfterStopAreNotRead()
    {
        var pickle = Join(Pickle(Dict(("w", Tensor(W, [4])))), Pickle(Call("os", "system", Text("true"))));

        Assert.Single(CheckpointBytes.Describe(ZipBytes.Checkpoint(pickle, ("0", new byte[16]))).Tensors);
    }

    private static TensorInfo Describe(byte[] tensor, int recordBytes) =>
        Assert.Single(CheckpointBytes.Describe(ZipBytes.Checkpoint(Pickle(Dict(("w", tensor))), ("0", new byte[recordBytes]))).Tensors);

    private static byte[] Frame()
    {
        var frame = new byte[9];
        frame[0] = 0x95;
        BinaryPrimitives.WriteUInt64LittleEndian(frame.AsSpan(1), 1 << 20);
        return frame;
    }

    private static byte[] ShortText(string text) => [0x8c, (byte)text.Length, .. Encoding.UTF8.GetBytes(text), 0x94];

    private static byte[] Python2Storage()
    {
        byte[] Old(string text) => [(byte)'U', (byte)text.Length, .. Encoding.ASCII.GetBytes(text)];
        return [.. Tuple(Old("storage"), Global("torch", "FloatStorage"), Old("0"), Old("cpu"), Integer(4), None), (byte)'Q'];
    }
}
