using System.Numerics;
using CloudShards.Formats.Tests.Files;
using static CloudShards.Formats.Tests.Files.PickleBytes;

namespace CloudShards.Formats.Tests.TorchZip;

public sealed class InvalidPickleTests
{
    private static readonly byte[] W = Storage("0", 4);

    // What the machine must refuse: the pickle after PROTO, where in it the fault is noticed (-1: not told), and the cause.
    private static readonly Dictionary<string, (byte[] Pickle, int At, CheckpointError Error)> Pickles = new()
    {
        ["nothing"] = ([], 2, CheckpointError.Truncated),
        ["no STOP"] = (EmptyDict, 3, CheckpointError.Truncated),
        ["STOP of nothing"] = ("."u8.ToArray(), 2, CheckpointError.Malformed),
        ["STOP of a mark"] = ("(."u8.ToArray(), 3, CheckpointError.Malformed),
        ["unknown opcode"] = ([0xff], 2, CheckpointError.Malformed),
        ["PROTO 6"] = ([0x80, 6], 2, CheckpointError.Unsupported),
        ["INST"] = ([.. "(ios\nsystem\n."u8], 3, CheckpointError.Forbidden),
        ["OBJ"] = ([.. "("u8, .. Global("a", "b"), .. "o."u8], 8, CheckpointError.Forbidden),
        ["EXT1"] = ([0x82, 1, (byte)'.'], 2, CheckpointError.Forbidden),
        ["EXT2"] = ([0x83, 1, 0, (byte)'.'], 2, CheckpointError.Forbidden),
        ["EXT4"] = ([0x84, 1, 0, 0, 0, (byte)'.'], 2, CheckpointError.Forbidden),
        ["PERSID"] = ("Pstorage\n."u8.ToArray(), 2, CheckpointError.Forbidden),
        ["NEXT_BUFFER"] = ([0x97, (byte)'.'], 2, CheckpointError.Forbidden),
        ["READONLY_BUFFER"] = ([0x98, (byte)'.'], 2, CheckpointError.Forbidden),
        ["STRING"] = ("S'a'\n."u8.ToArray(), 2, CheckpointError.Unsupported),
        ["UNICODE"] = ("Va\n."u8.ToArray(), 2, CheckpointError.Unsupported),
        ["FLOAT"] = ("F1.5\n."u8.ToArray(), 2, CheckpointError.Unsupported),
        ["PUT"] = ("Np0\n."u8.ToArray(), 3, CheckpointError.Unsupported),
        ["GET"] = ("g0\n."u8.ToArray(), 2, CheckpointError.Unsupported),
        ["slots of the memo far apart"] = (
            [(byte)'N', .. Enumerable.Range(1, 2_000).SelectMany(i => Put((uint)i * 1_000_000)), (byte)'.'], 3 + (1024 * 5), CheckpointError.Malformed),
        ["POP of nothing"] = ("0."u8.ToArray(), 2, CheckpointError.Malformed),
        ["POP_MARK without one"] = ("N1."u8.ToArray(), 3, CheckpointError.Malformed),
        ["DUP of nothing"] = ("2."u8.ToArray(), 2, CheckpointError.Malformed),
        ["DUP of a mark"] = ("(2."u8.ToArray(), 3, CheckpointError.Malformed),
        ["BINPUT of nothing"] = ("q\0."u8.ToArray(), 2, CheckpointError.Malformed),
        ["BINPUT of a mark"] = ("(q\0."u8.ToArray(), 3, CheckpointError.Malformed),
        ["MEMOIZE of a mark"] = ([(byte)'(', 0x94, (byte)'.'], 3, CheckpointError.Malformed),
        ["BINGET of nothing"] = ("h\u0007."u8.ToArray(), 2, CheckpointError.Malformed),
        ["LONG_BINGET of nothing"] = ("j\u0007\0\0\0."u8.ToArray(), 2, CheckpointError.Malformed),
        ["TUPLE without a mark"] = ("Nt."u8.ToArray(), 3, CheckpointError.Malformed),
        ["TUPLE2 of one"] = ([(byte)'N', 0x86, (byte)'.'], 3, CheckpointError.Malformed),
        ["TUPLE1 across a mark"] = ([(byte)'N', (byte)'(', 0x85, (byte)'.'], 4, CheckpointError.Malformed),
        ["APPEND to nothing"] = ("Na."u8.ToArray(), 3, CheckpointError.Malformed),
        ["APPEND to a dict"] = ("}Na."u8.ToArray(), 4, CheckpointError.Malformed),
        ["APPEND to a tuple"] = (")Na."u8.ToArray(), 4, CheckpointError.Malformed),
        ["APPENDS to a number"] = ("K\u0001(Ne."u8.ToArray(), 6, CheckpointError.Malformed),
        ["ADDITEMS to a text"] = ([.. Text("a"), (byte)'(', (byte)'N', 0x90, (byte)'.'], 10, CheckpointError.Malformed),
        ["SETITEM without a value"] = ("}Ns."u8.ToArray(), 4, CheckpointError.Malformed),
        ["SETITEM on a list"] = ("]NNs."u8.ToArray(), 5, CheckpointError.Malformed),
        ["SETITEMS odd"] = ("}(NNNu."u8.ToArray(), 7, CheckpointError.Malformed),
        ["SETITEMS on a tensor"] = ([.. Tensor(W, [4]), .. "(NNu."u8], -1, CheckpointError.Malformed),
        ["DICT odd"] = ("(Nd."u8.ToArray(), 4, CheckpointError.Malformed),
        ["a list as key"] = ("}]Ns."u8.ToArray(), 5, CheckpointError.Malformed),
        ["a dict as key"] = ("}}Ns."u8.ToArray(), 5, CheckpointError.Malformed),
        ["a set as key"] = ([(byte)'}', 0x8f, (byte)'N', (byte)'s', (byte)'.'], 5, CheckpointError.Malformed),
        ["REDUCE of a text"] = ([.. Text("a"), .. ")R."u8], 9, CheckpointError.Malformed),
        ["REDUCE with a list"] = ([.. Global("a", "b"), .. "]R."u8], 8, CheckpointError.Malformed),
        ["REDUCE of a storage class"] = ([.. Call("torch", "FloatStorage"), (byte)'.'], -1, CheckpointError.Malformed),
        ["NEWOBJ of None"] = ([(byte)'N', (byte)')', 0x81, (byte)'.'], 4, CheckpointError.Malformed),
        ["NEWOBJ_EX of two"] = ([.. Global("a", "b"), (byte)')', 0x92, (byte)'.'], 8, CheckpointError.Malformed),
        ["BUILD of a number"] = ("K\u0001Nb."u8.ToArray(), 5, CheckpointError.Malformed),
        ["BUILD of a list"] = ("]Nb."u8.ToArray(), 4, CheckpointError.Malformed),
        ["STACK_GLOBAL of numbers"] = ([.. "K\u0001K\u0001"u8, 0x93, (byte)'.'], 6, CheckpointError.Malformed),
        ["GLOBAL without its second line"] = ("ctorch\nx"u8.ToArray(), -1, CheckpointError.Truncated),
        ["GLOBAL that is not UTF-8"] = ([(byte)'c', 0xff, .. "\nx\n."u8], 3, CheckpointError.BadName),
        ["text that is not UTF-8"] = ([.. Text([0xed, 0xa0, 0x80]), (byte)'.'], 7, CheckpointError.BadName),
        ["text beyond the end"] = ("X\u00ff\u00ff\u00ff\u007fa."u8.ToArray(), -1, CheckpointError.Truncated),
        ["BINSTRING of negative length"] = ([(byte)'T', 0xff, 0xff, 0xff, 0xff, (byte)'.'], 3, CheckpointError.Malformed),
        ["LONG4 of negative length"] = ([0x8b, 0xff, 0xff, 0xff, 0xff, (byte)'.'], -1, CheckpointError.Malformed),
        ["LONG4 beyond the end"] = ([0x8b, 0, 1, 0, 0, (byte)'.'], -1, CheckpointError.Truncated),
        ["LONG4 of a megabyte"] = ([0x8b, 0, 0, 16, 0, .. new byte[1 << 20], (byte)'.'], 7, CheckpointError.LimitExceeded),
        ["INT of a word"] = ("Ione\n."u8.ToArray(), 3, CheckpointError.Malformed),
        ["INT without end"] = ("I1"u8.ToArray(), -1, CheckpointError.Truncated),
        ["LONG of nothing"] = ("LL\n."u8.ToArray(), 3, CheckpointError.Malformed),
        ["persistent id of text"] = ([.. Text("0"), .. "Q."u8], 8, CheckpointError.Malformed),
        ["persistent id of another kind"] = (
            [.. Tuple(Text("module"), Global("torch", "FloatStorage"), Text("0"), Text("cpu"), Integer(4)), .. "Q."u8], -1, CheckpointError.Malformed),
    };

    // What the rebuild functions must refuse, as the tensor "w" of a dict over one record of 16 bytes.
    private static readonly Dictionary<string, (byte[] Tensor, CheckpointError Error)> Tensors = new()
    {
        ["offset too large"] = (Tensor(W, [4], offset: 1), CheckpointError.BadTensor),
        ["offset below zero"] = (Tensor(W, [1], offset: -1), CheckpointError.BadTensor),
        ["offset beyond 63 bits"] = (Rebuild(W, Integer(BigInteger.Pow(2, 64)), Numbers(4), Numbers(1)), CheckpointError.BadTensor),
        ["offset that wraps"] = (Tensor(W, [4], offset: long.MaxValue), CheckpointError.BadTensor),
        ["size too large"] = (Tensor(W, [5]), CheckpointError.BadTensor),
        ["size below zero"] = (Tensor(W, [-4], [1]), CheckpointError.BadTensor),
        ["sizes whose product wraps to 0"] = (Tensor(W, [1L << 33, 1L << 33], [0, 0]), CheckpointError.BadTensor),
        ["sizes whose bytes wrap"] = (Tensor(W, [1L << 62], [0]), CheckpointError.BadTensor),
        ["stride too large"] = (Tensor(W, [2], [4]), CheckpointError.BadTensor),
        ["stride below zero"] = (Tensor(W, [2], [-1], 1), CheckpointError.BadTensor),
        ["stride that wraps"] = (Tensor(W, [3], [1L << 62]), CheckpointError.BadTensor),
        ["fewer strides than sizes"] = (Tensor(W, [2, 2], [1]), CheckpointError.BadTensor),
        ["more strides than sizes"] = (Tensor(W, [4], [4, 1]), CheckpointError.BadTensor),
        ["size of text"] = (Rebuild(W, Integer(0), Tuple(Text("4")), Numbers(1)), CheckpointError.BadTensor),
        ["size of a float"] = (Rebuild(W, Integer(0), Tuple(Float(4)), Numbers(1)), CheckpointError.BadTensor),
        ["size that is no tuple"] = (Rebuild(W, Integer(0), Integer(4), Numbers(1)), CheckpointError.BadTensor),
        ["offset of text"] = (Rebuild(W, Text("0"), Numbers(4), Numbers(1)), CheckpointError.BadTensor),
        ["no storage"] = (Rebuild(None, Integer(0), Numbers(4), Numbers(1)), CheckpointError.Malformed),
        ["no arguments"] = (Call("torch._utils", "_rebuild_tensor_v2"), CheckpointError.Malformed),
        ["a fifth argument alone"] = (
            Call("torch._utils", "_rebuild_tensor_v2", W, Integer(0), Numbers(4), Numbers(1), False), CheckpointError.Malformed),
        ["elements below zero"] = (Tensor(Storage("0", -4), [4]), CheckpointError.BadTensor),
        ["elements whose bytes wrap"] = (Tensor(Storage("0", (1L << 62) + 4), [4]), CheckpointError.BadTensor),
        ["elements beyond 63 bits"] = (Tensor(Storage("0", ulong.MaxValue), [4]), CheckpointError.BadTensor),
        ["more elements than the record"] = (Tensor(Storage("0", 1000), [1000]), CheckpointError.BadTensor),
        ["fewer elements than the record"] = (Tensor(Storage("0", 3), [3]), CheckpointError.BadTensor),
        ["a key without a record"] = (Tensor(Storage("7", 4), [4]), CheckpointError.BadTensor),
        ["a key that leaves its folder"] = (Tensor(Storage("../version", 4), [4]), CheckpointError.BadTensor),
        ["a key in capitals"] = (Tensor(Storage("０", 4), [4]), CheckpointError.BadTensor),
        ["a storage class that is unknown"] = (Tensor(Storage("0", 4, "Float31Storage"), [4]), CheckpointError.BadTensor),
        ["a storage class of elsewhere"] = (Tensor(Storage("0", 4, "FloatStorage", "numpy"), [4]), CheckpointError.BadTensor),
        ["a storage on meta"] = (Tensor(Storage("0", 4, location: "meta"), [4]), CheckpointError.Unsupported),
        ["an untyped storage without a dtype"] = (Tensor(Storage("0", 16, "UntypedStorage", "torch.storage"), [4]), CheckpointError.Malformed),
        ["a dtype that is unknown"] = (TensorV3(Storage("0", 16, "UntypedStorage", "torch.storage"), "float31", [4]), CheckpointError.BadTensor),
        ["a dtype too large for its storage"] = (TensorV3(Storage("0", 16, "UntypedStorage", "torch.storage"), "complex128", [2]), CheckpointError.BadTensor),
        ["metadata that is no dict"] = (WithMetadata(Text("conj")), CheckpointError.Malformed),
        ["metadata that is unknown"] = (WithMetadata(Dict(("imag", True))), CheckpointError.Malformed),
        ["metadata that is no truth value"] = (WithMetadata(Dict(("conj", Integer(1)))), CheckpointError.Malformed),
        ["a quantised axis below zero"] = (Channels(2, 2, -1), CheckpointError.BadTensor),
        ["a quantised axis beyond the dimensions"] = (Channels(2, 2, 2), CheckpointError.BadTensor),
        ["more scales than channels"] = (Channels(3, 2, 0), CheckpointError.BadTensor),
        ["fewer zero points than channels"] = (Channels(2, 1, 1), CheckpointError.BadTensor),
        ["coordinates for other values"] = (Sparse("sparse_coo", [4], Indices(1, 2), Tensor(W, [1])), CheckpointError.BadTensor),
        ["coordinates of more dimensions"] = (Sparse("sparse_coo", [4], Indices(2, 1), Tensor(W, [1])), CheckpointError.BadTensor),
        ["coordinates that are floats"] = (Sparse("sparse_coo", [4], Tensor(W, [1, 1]), Tensor(W, [1])), CheckpointError.BadTensor),
        ["coordinates in one dimension"] = (Sparse("sparse_coo", [4], Indices(1), Tensor(W, [1])), CheckpointError.BadTensor),
        ["dense dimensions of another size"] = (Sparse("sparse_coo", [4, 3], Indices(1, 1), Tensor(W, [1, 2])), CheckpointError.BadTensor),
        ["rows of another number"] = (Sparse("sparse_csr", [2, 2], Indices(2), Indices(1), Tensor(W, [1])), CheckpointError.BadTensor),
        ["columns for other values"] = (Sparse("sparse_csr", [1, 2], Indices(2), Indices(2), Tensor(W, [1])), CheckpointError.BadTensor),
        ["compressed columns of another number"] = (Sparse("sparse_csc", [2, 1], Indices(1), Indices(1), Tensor(W, [1])), CheckpointError.BadTensor),
        ["blocks that do not fill the shape"] = (Sparse("sparse_bsr", [3, 2], Indices(2), Indices(1), Tensor(W, [1, 2, 2])), CheckpointError.BadTensor),
        ["blocks of nothing"] = (Sparse("sparse_bsr", [2, 2], Indices(2), Indices(1), Tensor(W, [1, 0, 2])), CheckpointError.BadTensor),
        ["a matrix of one dimension"] = (Sparse("sparse_csr", [2], Indices(2), Indices(1), Tensor(W, [1])), CheckpointError.BadTensor),
        ["pairs of 4-bit elements beyond 63 bits"] = (
            TensorV3(Storage("0", 16, "UntypedStorage", "torch.storage"), "float4_e2m1fn_x2", [0, 1L << 62], [1, 1]), CheckpointError.Unsupported),
        ["quantised"] = (Call("torch._utils", "_rebuild_qtensor", W), CheckpointError.Malformed),
        ["sparse"] = (Call("torch._utils", "_rebuild_sparse_tensor", W), CheckpointError.Malformed),
        ["without bytes"] = (Call("torch._utils", "_rebuild_meta_tensor_no_storage"), CheckpointError.Unsupported),
        ["nested"] = (Call("torch._utils", "_rebuild_nested_tensor", W), CheckpointError.Unsupported),
        ["a parameter of nothing"] = (Call("torch._utils", "_rebuild_parameter", None, True, OrderedDict), CheckpointError.Malformed),
        ["a subclass by a stranger"] = (
            Call("torch._tensor", "_rebuild_from_type_v2", Global("a", "b"), Global("a", "T"), Tuple(), None), CheckpointError.Unsupported),
        ["a storage as it is"] = (W, CheckpointError.Unsupported),
        ["inside an object"] = (Call("a", "b", Tensor(W, [4])), CheckpointError.Unsupported),
        ["under a tuple as key"] = (DictOf((Tuple(Integer(1)), Tensor(W, [4]))), CheckpointError.BadName),
    };

    public static TheoryData<string> PickleFaults => [.. Pickles.Keys];

    public static TheoryData<string> TensorFaults => [.. Tensors.Keys];

    [Theory]
    [MemberData(nameof(PickleFaults))]
    public void ABrokenPickleIsRefused(string fault)
    {
        var (pickle, at, error) = Pickles[fault];
        var start = 30 + "archive/data.pkl".Length;

        var refusal = CheckpointBytes.Refuse(ZipBytes.Checkpoint([0x80, 2, .. pickle], ("0", new byte[16])));

        Assert.Equal(error, refusal.Error);
        Assert.NotNull(refusal.Offset);
        Assert.True(at < 0 || refusal.Offset == start + at, $"at {refusal.Offset - start}: {refusal.Message}");
        Assert.InRange(refusal.Offset.Value, start, start + 2 + pickle.Length);
    }

    [Theory]
    [MemberData(nameof(TensorFaults))]
    public void ABrokenTensorIsRefused(string fault)
    {
        var (tensor, error) = Tensors[fault];

        var refusal = CheckpointBytes.Refuse(ZipBytes.Checkpoint(Pickle(Dict(("w", tensor))), ("0", new byte[16])));

        Assert.Equal(error, refusal.Error);
        Assert.True(refusal.Offset is not null || refusal.Tensor == "w" || refusal.Message.Contains("`w`", StringComparison.Ordinal), refusal.Message);
    }

    [Fact]
    public void TwoTensorsOfOneNameAreRefused()
    {
        var t = Tensor(W, [4]);
        foreach (var root in (byte[][])[
            Dict(("a.b", t), ("a", Dict(("b", t)))),
            Dict(("a", t), ("a", t)),
            DictOf((Text("1"), t), (Integer(1), t)),
            DictOf((None, t), (Text("None"), t)),
            Dict(("a", List(t)), ("a.0", t)),
        ])
        {
            var refusal = CheckpointBytes.Refuse(ZipBytes.Checkpoint(Pickle(root), ("0", new byte[16])));

            Assert.Equal(CheckpointError.BadName, refusal.Error);
            Assert.NotNull(refusal.Tensor);
        }
    }

    private static byte[] Rebuild(byte[] storage, byte[] offset, byte[] size, byte[] stride) =>
        Call("torch._utils", "_rebuild_tensor_v2", storage, offset, size, stride, False, OrderedDict);

    // Per-channel over [2, 2] bytes.
    private static byte[] Channels(int scales, int zeroPoints, int axis) => Call(
        "torch._utils", "_rebuild_qtensor", Storage("0", 16, "QInt8Storage"), Integer(0), Numbers(2, 2), Numbers(2, 1),
        Tuple(
            Global("torch", "per_channel_affine"), Tensor(Storage("1", 3, "DoubleStorage"), [scales]), Tensor(Storage("2", 2, "LongStorage"), [zeroPoints]),
            Integer(axis)),
        False, OrderedDict);

    private static byte[] Indices(params long[] shape) => Tensor(Storage("0", 2, "LongStorage"), shape);

    private static byte[] Sparse(string layout, long[] shape, params byte[][] parts) => Call(
        "torch._utils", "_rebuild_sparse_tensor", Text(layout), Tuple([.. parts, Call("torch", "Size", Numbers(shape))]));

    private static byte[] WithMetadata(byte[] metadata) =>
        Call("torch._utils", "_rebuild_tensor_v2", W, Integer(0), Numbers(4), Numbers(1), False, OrderedDict, metadata);
}
