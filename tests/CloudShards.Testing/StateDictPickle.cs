using System.Buffers;
using System.Buffers.Binary;
using System.Collections.Immutable;
using System.Globalization;
using System.Text;
using CloudShards.Formats;

namespace CloudShards.Testing;

/// <summary>
/// Writes a state dict as <c>torch.save</c> pickles it, in protocol 2: an OrderedDict of names and contiguous tensors, tensor <c>i</c> on
/// the TorchStorage with the key <c>i</c>.
/// </summary>
internal sealed class StateDictPickle
{
    // As Python's pickler: a dictionary's items in batches, so that no reader's stack grows with their number.
    private const int BatchSize = 1000;

    private readonly ArrayBufferWriter<byte> _pickle = new();

    private StateDictPickle()
    {
    }

    public static ReadOnlyMemory<byte> Write(ImmutableArray<SyntheticTensor> tensors)
    {
        var pickle = new StateDictPickle();
        pickle.Write([0x80, 2]); // PROTO
        pickle.WriteOrderedDict();
        foreach (var batch in tensors.Index().Chunk(BatchSize))
        {
            pickle.Write("("u8); // MARK
            foreach (var (key, tensor) in batch)
            {
                pickle.WriteText(tensor.Name);
                pickle.WriteTensor(tensor, key);
            }

            pickle.Write("u"u8); // SETITEMS
        }

        pickle.Write("."u8); // STOP
        return pickle._pickle.WrittenMemory;
    }

    /// <summary>_rebuild_tensor_v2(storage, offset, shape, strides, requires_grad, backward_hooks)</summary>
    private void WriteTensor(SyntheticTensor tensor, int key)
    {
        Write("ctorch._utils\n_rebuild_tensor_v2\n("u8); // GLOBAL MARK
        Write("("u8); // MARK
        WriteText("storage");
        Write(Encoding.ASCII.GetBytes($"ctorch\n{TorchStorage(tensor)}\n")); // GLOBAL
        WriteText(key.ToString(CultureInfo.InvariantCulture));
        WriteText("cpu");
        WriteInteger(tensor.Shape.ElementCount());
        Write("tQ"u8); // TUPLE BINPERSID
        WriteInteger(0);
        WriteTuple(tensor.Shape);
        WriteTuple(Strides(tensor.Shape));
        Write([0x89]); // NEWFALSE
        WriteOrderedDict();
        Write("tR"u8); // TUPLE REDUCE
    }

    private static string TorchStorage(SyntheticTensor tensor) => tensor.DType switch
    {
        TensorDType.F64 => "DoubleStorage",
        TensorDType.F32 => "FloatStorage",
        TensorDType.F16 => "HalfStorage",
        TensorDType.BF16 => "BFloat16Storage",
        TensorDType.I64 => "LongStorage",
        TensorDType.I32 => "IntStorage",
        TensorDType.I16 => "ShortStorage",
        TensorDType.I8 => "CharStorage",
        TensorDType.U8 => "ByteStorage",
        TensorDType.Bool => "BoolStorage",
        _ => throw new ArgumentException($"No TorchStorage for `{tensor.Name}`, a tensor of {tensor.DType.Name()}.", nameof(tensor)),
    };

    private static long[] Strides(TensorShape shape)
    {
        var strides = new long[shape.Rank];
        var stride = 1L;
        for (var dimension = shape.Rank - 1; dimension >= 0; dimension--)
        {
            strides[dimension] = stride;
            stride *= Math.Max(shape[dimension], 1);
        }

        return strides;
    }

    private void WriteOrderedDict() => Write("ccollections\nOrderedDict\n)R"u8); // GLOBAL EMPTY_TUPLE REDUCE

    private void WriteTuple(IEnumerable<long> items)
    {
        Write("("u8); // MARK
        foreach (var item in items)
        {
            WriteInteger(item);
        }

        Write("t"u8); // TUPLE
    }

    private void WriteText(string text)
    {
        var utf8 = Encoding.UTF8.GetBytes(text);
        Write("X"u8); // BINUNICODE
        BinaryPrimitives.WriteInt32LittleEndian(_pickle.GetSpan(sizeof(int)), utf8.Length);
        _pickle.Advance(sizeof(int));
        Write(utf8);
    }

    private void WriteInteger(long value)
    {
        if (value <= int.MaxValue)
        {
            Write("J"u8); // BININT
            BinaryPrimitives.WriteInt32LittleEndian(_pickle.GetSpan(sizeof(int)), (int)value);
            _pickle.Advance(sizeof(int));
            return;
        }

        Write([0x8A, sizeof(long)]); // LONG1
        BinaryPrimitives.WriteInt64LittleEndian(_pickle.GetSpan(sizeof(long)), value);
        _pickle.Advance(sizeof(long));
    }

    private void Write(ReadOnlySpan<byte> bytes) => _pickle.Write(bytes);
}
