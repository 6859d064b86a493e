using System.Buffers.Binary;
using System.Numerics;
using System.Text;

namespace CloudShards.Formats.Tests.Files;

/// <summary>Pieces of pickles, put together as Python's pickle module would: <c>Pickle(Dict(("w", Tensor("0", 4, [4]))))</c>.</summary>
internal static class PickleBytes
{
    public static readonly byte[] None = "N"u8.ToArray();
    public static readonly byte[] True = [0x88];
    public static readonly byte[] False = [0x89];
    public static readonly byte[] EmptyDict = "}"u8.ToArray();
    public static readonly byte[] EmptyList = "]"u8.ToArray();
    public static readonly byte[] EmptyTuple = ")"u8.ToArray();
    public static readonly byte[] EmptySet = [0x8f];
    public static readonly byte[] OrderedDict = [.. Global("collections", "OrderedDict"), .. ")R"u8];

    /// <summary>PROTO, the parts, STOP.</summary>
    public static byte[] Pickle(params byte[][] parts) => [0x80, 2, .. parts.SelectMany(part => part), (byte)'.'];

    public static byte[] Join(params byte[][] parts) => [.. parts.SelectMany(part => part)];

    public static byte[] Repeat(byte[] part, int count) => [.. Enumerable.Repeat(part, count).SelectMany(bytes => bytes)];

    public static byte[] Text(string text) => Text(Encoding.UTF8.GetBytes(text));

    public static byte[] Text(byte[] utf8) => [(byte)'X', .. LittleEndian((uint)utf8.Length), .. utf8];

    public static byte[] Integer(BigInteger value) => value >= int.MinValue && value <= int.MaxValue
        ? [(byte)'J', .. LittleEndian(unchecked((uint)(int)value))]
        : [0x8a, (byte)value.GetByteCount(), .. value.ToByteArray()];

    public static byte[] Float(double value)
    {
        var bytes = new byte[9];
        bytes[0] = (byte)'G';
        BinaryPrimitives.WriteDoubleBigEndian(bytes.AsSpan(1), value);
        return bytes;
    }

    public static byte[] Bytes(params byte[] bytes) => [(byte)'B', .. LittleEndian((uint)bytes.Length), .. bytes];

    public static byte[] Global(string module, string name) => [(byte)'c', .. Encoding.UTF8.GetBytes($"{module}\n{name}\n")];

    public static byte[] Tuple(params byte[][] items) => [(byte)'(', .. items.SelectMany(item => item), (byte)'t'];

    public static byte[] List(params byte[][] items) => [(byte)']', (byte)'(', .. items.SelectMany(item => item), (byte)'e'];

    public static byte[] Dict(params (string Key, byte[] Value)[] items) => DictOf([.. items.Select(item => (Text(item.Key), item.Value))]);

    public static byte[] DictOf(params (byte[] Key, byte[] Value)[] items) =>
        [(byte)'}', (byte)'(', .. items.SelectMany(item => item.Key.Concat(item.Value)), (byte)'u'];

    /// <summary>GLOBAL, the arguments as a tuple, REDUCE.</summary>
    public static byte[] Call(string module, string name, params byte[][] arguments) =>
        [.. Global(module, name), .. Tuple(arguments), (byte)'R'];

    /// <summary>BINPUT or LONG_BINPUT: remembers what is on top of the stack.</summary>
    public static byte[] Put(uint slot) => slot <= byte.MaxValue ? [(byte)'q', (byte)slot] : [(byte)'r', .. LittleEndian(slot)];

    /// <summary>BINGET or LONG_BINGET.</summary>
    public static byte[] Get(uint slot) => slot <= byte.MaxValue ? [(byte)'h', (byte)slot] : [(byte)'j', .. LittleEndian(slot)];

    /// <summary>A TorchStorage: the persistent id <c>('storage', class, key, 'cpu', numel)</c> and BINPERSID.</summary>
    public static byte[] Storage(string key, BigInteger elements, string type = "FloatStorage", string module = "torch", string location = "cpu") =>
        [.. Tuple(Text("storage"), Global(module, type), Text(key), Text(location), Integer(elements)), (byte)'Q'];

    /// <summary>A call of <c>_rebuild_tensor_v2</c>, row-major unless strides are given.</summary>
    public static byte[] Tensor(byte[] storage, long[] sizes, long[]? strides = null, long offset = 0) =>
        Call("torch._utils", "_rebuild_tensor_v2", storage, Integer(offset), Numbers(sizes), Numbers(strides ?? RowMajor(sizes)), False, OrderedDict);

    /// <summary>A call of <c>_rebuild_tensor_v3</c> over an untyped TorchStorage.</summary>
    public static byte[] TensorV3(byte[] storage, string dtype, long[] sizes, long[]? strides = null, long offset = 0) => Call(
        "torch._utils", "_rebuild_tensor_v3", storage, Integer(offset), Numbers(sizes), Numbers(strides ?? RowMajor(sizes)), False, OrderedDict,
        Global("torch", dtype));

    public static byte[] Numbers(params long[] numbers) => Tuple([.. numbers.Select(number => Integer(number))]);

    public static long[] RowMajor(long[] sizes)
    {
        var strides = new long[sizes.Length];
        var next = 1L;
        for (var d = sizes.Length - 1; d >= 0; d--)
        {
            (strides[d], next) = (next, next * Math.Max(1, sizes[d]));
        }

        return strides;
    }

    private static byte[] LittleEndian(uint value)
    {
        var bytes = new byte[sizeof(uint)];
        BinaryPrimitives.WriteUInt32LittleEndian(bytes, value);
        return bytes;
    }
}
