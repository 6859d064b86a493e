using System.Buffers.Binary;
using System.Text;

namespace CloudShards.Fuzzing;

/// <summary>Writes pickles that mostly make sense: values nested at random, tensors with wild geometry, wrong arguments, memo tricks.</summary>
internal sealed class PickleGrammar : IDisposable
{
    private const int MaxDepth = 6;

    private static readonly string[] Globals =
    [
        "torch._utils\n_rebuild_tensor", "torch._utils\n_rebuild_tensor_v2", "torch._utils\n_rebuild_tensor_v3", "torch._utils\n_rebuild_parameter",
        "torch._utils\n_rebuild_qtensor", "torch._utils\n_rebuild_sparse_tensor", "torch._tensor\n_rebuild_from_type_v2", "collections\nOrderedDict", "collections\ndefaultdict",
        "__builtin__\nset", "builtins\nbytearray", "builtins\ncomplex", "_codecs\nencode", "torch\nSize", "torch\ndevice", "torch\nfloat8_e4m3fn", "torch\nfloat32",
        "torch\nper_tensor_affine", "torch\nper_channel_affine", "torch.serialization\n_get_layout", "torch.jit._pickle\nbuild_intlist", "argparse\nNamespace", "__torch__\nNet", "os\nsystem",
        "torch.nn.parameter\nParameter",
    ];

    private static readonly string[] Storages =
        ["FloatStorage", "LongStorage", "HalfStorage", "ComplexFloatStorage", "QInt8Storage", "UntypedStorage", "BoolStorage", "DoubleStorage"];

    private static readonly string[] Texts =
        ["w", "b", "a.b", "", "_parameters", "_buffers", "_modules", "state", "param_groups", "params", "conj", "neg", "latin1", "torch.sparse_coo", "0", "1", "é", "storage", "little_endian"];

    // They fit some of the records that the zip holds.
    private static readonly int[] Counts = [4, 6, 1, 20, 2, 10, 16, 24];

    private readonly Random _random;
    private readonly MemoryStream _out = new();
    private int _memo;

    private PickleGrammar(Random random) => _random = random;

    public static byte[] Make(Random random)
    {
        using var grammar = new PickleGrammar(random);
        grammar._out.Write([0x80, 2]);
        grammar.Value(0);
        if (random.Next(20) != 0)
        {
            grammar._out.WriteByte((byte)'.');
        }

        return grammar._out.ToArray();
    }

    public void Dispose() => _out.Dispose();

    private void Value(int depth)
    {
        switch (_random.Next(depth < MaxDepth ? 16 : 6))
        {
            case 0:
                Integer(_random.Next(4) == 0 ? _random.NextInt64() : _random.Next(-2, 300));
                break;
            case 1:
                Text(Texts[_random.Next(Texts.Length)]);
                break;
            case 2:
                _out.Write([(byte)'G', 0x3f, (byte)_random.Next(256), 0, 0, 0, 0, 0, (byte)_random.Next(256)]);
                break;
            case 3:
                _out.WriteByte(((byte[])[(byte)'N', 0x88, 0x89])[_random.Next(3)]);
                break;
            case 4 when _memo > 0:
                _out.Write([(byte)'h', (byte)_random.Next(Math.Min(256, _memo + 1))]);
                return;
            case 4 or 5:
                Global(Globals[_random.Next(Globals.Length)]);
                break;
            case 6 or 7:
                Dict(depth);
                break;
            case 8:
                Sequence(depth, "]", "(", "e");
                break;
            case 9:
                Tuple(depth);
                break;
            case 10:
                Storage();
                break;
            case 11 or 12 or 13:
                Tensor();
                break;
            case 14:
                Global(Globals[_random.Next(Globals.Length)]);
                Tuple(depth);
                _out.WriteByte((byte)(_random.Next(3) == 0 ? 0x81 : 'R'));
                break;
            default:
                Global("__main__\nNet");
                _out.Write([(byte)')', 0x81]);
                Dict(depth);
                _out.WriteByte((byte)'b');
                break;
        }

        if (_random.Next(3) == 0 && _memo < 256)
        {
            _out.Write([(byte)'q', (byte)_memo++]);
        }

        if (_random.Next(200) == 0)
        {
            _out.WriteByte((byte)_random.Next(256));
        }
    }

    private void Dict(int depth)
    {
        _out.Write("}("u8);
        for (var n = _random.Next(6); n > 0; n--)
        {
            if (_random.Next(10) == 0)
            {
                Value(depth + 1);
            }
            else
            {
                Text(Texts[_random.Next(Texts.Length)] + (_random.Next(2) == 0 ? "" : _random.Next(10).ToString(System.Globalization.CultureInfo.InvariantCulture)));
            }

            Value(depth + 1);
        }

        _out.WriteByte((byte)'u');
    }

    private void Sequence(int depth, string empty, string open, string close)
    {
        _out.Write(Encoding.ASCII.GetBytes(empty + open));
        for (var n = _random.Next(4); n > 0; n--)
        {
            Value(depth + 1);
        }

        _out.Write(Encoding.ASCII.GetBytes(close));
    }

    private void Tuple(int depth) => Sequence(depth, "", "(", "t");

    private void Storage()
    {
        _out.WriteByte((byte)'(');
        Text("storage");
        Global("torch\n" + Storages[_random.Next(Storages.Length)]);
        Text(_random.Next(6).ToString(System.Globalization.CultureInfo.InvariantCulture));
        Text(_random.Next(20) == 0 ? "meta" : "cpu");
        Integer(_random.Next(3) == 0 ? Number() : Counts[_random.Next(Counts.Length)]);
        _out.Write("tQ"u8);
    }

    private void Tensor()
    {
        var function = Globals[_random.Next(6)];
        Global(_random.Next(2) == 0 ? "torch._utils\n_rebuild_tensor_v2" : function);
        _out.WriteByte((byte)'(');
        Storage();
        Integer(_random.Next(4) == 0 ? Number() : 0);
        var rank = _random.Next(4);
        Numbers(rank);
        Numbers(_random.Next(20) == 0 ? rank + 1 : rank);
        _out.WriteByte(0x89);
        Global("collections\nOrderedDict");
        _out.Write(")R"u8);
        if (_random.Next(6) == 0)
        {
            Value(MaxDepth);
        }

        _out.Write("tR"u8);
    }

    private void Numbers(int count)
    {
        _out.WriteByte((byte)'(');
        for (; count > 0; count--)
        {
            Integer(_random.Next(6) == 0 ? Number() : _random.Next(5));
        }

        _out.WriteByte((byte)'t');
    }

    private long Number() => _random.Next(4) switch
    {
        0 => _random.NextInt64(),
        1 => 1L << _random.Next(63),
        2 => -_random.Next(1, 10),
        _ => _random.Next(1000),
    };

    private void Integer(long value)
    {
        if (value is >= 0 and < 256)
        {
            _out.Write([(byte)'K', (byte)value]);
            return;
        }

        Span<byte> bytes = stackalloc byte[sizeof(long)];
        BinaryPrimitives.WriteInt64LittleEndian(bytes, value);
        _out.Write([0x8a, sizeof(long), .. bytes]);
    }

    private void Text(string text)
    {
        var utf8 = Encoding.UTF8.GetBytes(text);
        _out.Write([(byte)'X', (byte)utf8.Length, 0, 0, 0, .. utf8]);
    }

    private void Global(string name) => _out.Write(Encoding.ASCII.GetBytes($"c{name}\n"));
}
