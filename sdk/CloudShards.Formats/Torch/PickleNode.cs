using System.Numerics;

namespace CloudShards.Formats.Torch;

/// <summary>What a pickle builds, as plain data: nothing here is, or refers to, a .NET or Python object that could act.</summary>
internal abstract class PickleNode
{
    /// <summary>Whether more than one place may refer to it, or it was no more than borrowed: what it cost is not given back.</summary>
    public bool IsShared { get; private set; }

    /// <summary>What a <see cref="StateDictCensus"/> knows of it; 0 before it has seen it.</summary>
    public int Tally { get; set; }

    /// <summary>Notes that more than one place may refer to it from now on.</summary>
    public void Share() => IsShared = true;
}

internal sealed class PickleNone : PickleNode
{
    public static readonly PickleNone Instance = new();

    private PickleNone() => Share();
}

internal sealed class PickleBool : PickleNode
{
    public static readonly PickleBool True = new(true);
    public static readonly PickleBool False = new(false);

    private PickleBool(bool value)
    {
        Value = value;
        Share();
    }

    public bool Value { get; }
}

internal sealed class PickleInteger(BigInteger value) : PickleNode
{
    public BigInteger Value { get; } = value;

    /// <summary>A number that many pickles share.</summary>
    public static PickleInteger Shared(BigInteger value)
    {
        var integer = new PickleInteger(value);
        integer.Share();
        return integer;
    }

    public bool TryGetInt64(out long number)
    {
        var fits = Value >= long.MinValue && Value <= long.MaxValue;
        number = fits ? (long)Value : 0;
        return fits;
    }
}

internal sealed class PickleFloat(double value) : PickleNode
{
    public double Value { get; } = value;
}

internal sealed class PickleComplex(double real, double imaginary) : PickleNode
{
    public double Real { get; } = real;

    public double Imaginary { get; } = imaginary;
}

internal sealed class PickleText(string value) : PickleNode
{
    public string Value { get; } = value;
}

internal sealed class PickleBytes(byte[] value) : PickleNode
{
    public byte[] Value { get; } = value;
}

/// <summary>The mark that opens a run of stack items.</summary>
internal sealed class PickleMark : PickleNode
{
    public static readonly PickleMark Instance = new();

    private PickleMark() => Share();
}

/// <summary>A tuple, list or set.</summary>
internal sealed class PickleSequence(PickleSequence.Kind kind, List<PickleNode> items) : PickleNode
{
    internal enum Kind
    {
        Tuple,
        List,
        Set,
    }

    public Kind Is { get; } = kind;

    public List<PickleNode> Items { get; } = items;
}

/// <summary>A dictionary, in the order in which its items were set.</summary>
internal sealed class PickleDict : PickleNode
{
    public List<KeyValuePair<PickleNode, PickleNode>> Items { get; } = [];

    /// <summary>The value under a text key, or null; the last one counts where a key was set twice.</summary>
    public PickleNode? Find(string key) => Items.FindLast(item => item.Key is PickleText text && text.Value == key).Value;
}

/// <summary>The name of a class or function. It is only ever compared with other names.</summary>
internal sealed class PickleGlobal(string module, string name) : PickleNode
{
    public string Module { get; } = module;

    public string Name { get; } = name;

    public string FullName { get; } = $"{module}.{name}";
}

/// <summary>An instance of a class: its parts are kept, and nothing is done with them.</summary>
internal sealed class PickleObject(PickleGlobal type, PickleNode arguments) : PickleNode
{
    public PickleGlobal Type { get; } = type;

    /// <summary>The attributes that BUILD brought by name; null where it brought none.</summary>
    public PickleDict? Attributes { get; set; }

    /// <summary>More attributes, those of slots, which count where both name one; null where BUILD brought no pair of both.</summary>
    public PickleDict? Slots { get; set; }

    /// <summary>Everything else: the arguments, other states, items that were set or appended.</summary>
    public List<PickleNode> Parts { get; } = [arguments];
}

/// <summary>A reference to a TorchStorage: a record of the archive, or a part of one.</summary>
/// <param name="key">Names the record.</param>
/// <param name="type">What its elements are.</param>
/// <param name="recordBytes">Bytes of the record, as the pickle announces them.</param>
/// <param name="view">The part of the record that is meant; all of it, but for files of before PyTorch 0.4.</param>
internal sealed class TorchStorage(string key, StorageType type, long recordBytes, ByteRange view) : PickleNode
{
    public string Key { get; } = key;

    public StorageType Type { get; } = type;

    public long RecordBytes { get; } = recordBytes;

    public ByteRange View { get; } = view;
}

/// <summary>A tensor over a TorchStorage, its geometry checked against the storage's announced size.</summary>
internal sealed class TorchTensor(TorchStorage storage, TensorDType dtype, TensorShape shape, TensorLayout layout) : PickleNode
{
    public TorchStorage Storage { get; } = storage;

    public TensorDType DType { get; } = dtype;

    public TensorShape Shape { get; } = shape;

    /// <summary>Its extent counts from the record's first byte.</summary>
    public TensorLayout Layout { get; } = layout;
}

/// <summary>A quantised tensor: integers, and how they stand for numbers.</summary>
/// <param name="data">The integers.</param>
/// <param name="scheme">As in <c>per_tensor_affine</c>.</param>
/// <param name="scale">A number, or a tensor of one for each channel.</param>
/// <param name="zeroPoint">A number, or a tensor of one for each channel.</param>
/// <param name="axis">The dimension of channels; null where there is one scale.</param>
internal sealed class TorchQuantised(TorchTensor data, string scheme, PickleNode scale, PickleNode zeroPoint, PickleNode? axis) : PickleNode
{
    public TorchTensor Data { get; } = data;

    public string Scheme { get; } = scheme;

    public PickleNode Scale { get; } = scale;

    public PickleNode ZeroPoint { get; } = zeroPoint;

    public PickleNode? Axis { get; } = axis;
}

/// <summary>A sparse tensor: dense ones of indices and values, and how they make it up.</summary>
/// <param name="layout">As in <c>sparse_coo</c>.</param>
/// <param name="shape">The sizes of the tensor that they make up.</param>
/// <param name="parts">The dense tensors, by the names that PyTorch's methods for them have.</param>
internal sealed class TorchSparse(string layout, TensorShape shape, IReadOnlyList<(string Name, PickleNode Tensor)> parts) : PickleNode
{
    public string Layout { get; } = layout;

    public TensorShape Shape { get; } = shape;

    public IReadOnlyList<(string Name, PickleNode Tensor)> Parts { get; } = parts;
}
