using System.Buffers;
using System.Globalization;
using System.Text.Json;

namespace CloudShards.Formats.Torch;

/// <summary>
/// Writes the leaves of a pickle that are not tensors as one JSON object. What JSON cannot hold becomes an object of one property whose name
/// starts with <c>$</c>; FORMAT.md lists them.
/// </summary>
internal sealed class PickleValues : IDisposable
{
    // Readers of JSON, this library's manifests among them, bound its depth at 64; a list of a checkpoint has two or three levels.
    private const int MaxDepth = 32;

    // What an escape takes beyond the one byte of a character that needs none.
    private const long EscapeBytes = 5;

    private const int AlwaysAllowed = 1 << 20;

    private static readonly SearchValues<char> Unescaped = SearchValues.Create([.. Enumerable.Range(' ', '~' - ' ' + 1).Select(c => (char)c)]);

    private readonly CheckpointLimits _limits;
    private readonly HashSet<string> _names = new(StringComparer.Ordinal);
    private readonly ArrayBufferWriter<byte> _json = new();
    private readonly Utf8JsonWriter _writer;

    private long _source;

    /// <summary>No values yet.</summary>
    /// <param name="limits">Bounds on what they take.</param>
    /// <param name="pickleBytes">Bytes of the pickle that they come from: it may name a long text over and over.</param>
    public PickleValues(CheckpointLimits limits, long pickleBytes)
    {
        (_limits, _source) = (limits, pickleBytes);
        _writer = new(_json);
        _writer.WriteStartObject();
    }

    /// <summary>Number of values so far, a list counting once.</summary>
    public int Count => _names.Count;

    /// <summary>Adds a leaf, or a list of lists of leaves.</summary>
    /// <exception cref="CheckpointFormatException">The name is taken, or the values take more than the limit.</exception>
    public void Add(string name, PickleNode value)
    {
        WriteName(name);
        Write(name, value);
    }

    /// <summary>Lets values come from bytes beside the pickle too.</summary>
    public void AddSource(long bytes) => _source += bytes;

    /// <summary>Adds how a quantised tensor's integers stand for numbers.</summary>
    /// <param name="name">The tensor's name.</param>
    /// <param name="tensor">The tensor.</param>
    /// <param name="scales">The scale of each channel; null where the tensor has one itself.</param>
    /// <param name="zeroPoints">The zero point of each channel; null where the tensor has one itself.</param>
    public void AddQuantisation(string name, TorchQuantised tensor, IEnumerable<PickleNode>? scales, IEnumerable<PickleNode>? zeroPoints)
    {
        WriteName(name);
        _writer.WriteStartObject();
        _writer.WriteStartObject("$quantized");
        _writer.WriteString("scheme", tensor.Scheme);
        _writer.WritePropertyName("scale");
        WriteNumbers(name, scales, tensor.Scale);
        _writer.WritePropertyName("zero_point");
        WriteNumbers(name, zeroPoints, tensor.ZeroPoint);
        if (tensor.Axis is { } axis)
        {
            _writer.WritePropertyName("axis");
            Write(name, axis);
        }

        _writer.WriteEndObject();
        _writer.WriteEndObject();
    }

    /// <summary>The object of all that was added. Nothing can be added afterwards.</summary>
    public JsonElement ToElement()
    {
        _writer.WriteEndObject();
        _writer.Flush();
        return JsonElement.Parse(_json.WrittenSpan);
    }

    /// <summary>Gives the writer's buffer back.</summary>
    public void Dispose() => _writer.Dispose();

    private void WriteNumbers(string name, IEnumerable<PickleNode>? channels, PickleNode only)
    {
        if (channels is null)
        {
            Write(name, only);
            return;
        }

        _writer.WriteStartArray();
        foreach (var number in channels)
        {
            WriteLeaf(number);
            Bound(0);
        }

        _writer.WriteEndArray();
    }

    private void WriteName(string name)
    {
        if (!_names.Add(name))
        {
            throw Errors.NameCollision(name, "values");
        }

        _writer.WritePropertyName(name);
    }

    // Depth first without recursion; the walk that calls this has bounded the number of leaves.
    private void Write(string name, PickleNode root)
    {
        var open = new Stack<IEnumerator<PickleNode>>();
        Begin(root);
        while (open.TryPeek(out var items))
        {
            if (items.MoveNext())
            {
                Begin(items.Current);
            }
            else
            {
                open.Pop();
                _writer.WriteEndArray();
            }
        }

        void Begin(PickleNode node)
        {
            if (node is PickleSequence sequence)
            {
                if (open.Count == MaxDepth)
                {
                    throw Errors.ValueTooDeep(name, MaxDepth);
                }

                _writer.WriteStartArray();
                open.Push(sequence.Items.GetEnumerator());
            }
            else
            {
                WriteLeaf(node);
            }

            Bound(0);
        }
    }

    private void Bound(long more)
    {
        var bytes = _json.WrittenCount + _writer.BytesPending + more;
        if (bytes > _limits.MaxValueBytes)
        {
            throw Errors.LimitExceeded("the values' bytes", bytes, _limits.MaxValueBytes, nameof(_limits.MaxValueBytes));
        }

        var allowed = AlwaysAllowed + (_source * _limits.MaxExpansion);
        if (bytes > allowed)
        {
            throw Errors.LimitExceeded($"the values' bytes out of {_source:N0}", bytes, allowed, nameof(_limits.MaxExpansion));
        }
    }

    private void WriteLeaf(PickleNode node)
    {
        switch (node)
        {
            case PickleNone:
                _writer.WriteNullValue();
                break;
            case PickleBool boolean:
                _writer.WriteBooleanValue(boolean.Value);
                break;
            case PickleInteger integer:
                _writer.WriteRawValue(integer.Value.ToString(CultureInfo.InvariantCulture), skipInputValidation: true);
                break;
            case PickleFloat number:
                WriteFloat(number.Value);
                break;
            case PickleText text:
                Bound(text.Value.Length + (EscapeBytes * (text.Value.Length - text.Value.AsSpan().CountAny(Unescaped))));
                _writer.WriteStringValue(text.Value);
                break;
            case PickleDict:
                _writer.WriteStartObject();
                _writer.WriteEndObject();
                break;
            default:
                _writer.WriteStartObject();
                WriteTagged(node);
                _writer.WriteEndObject();
                break;
        }
    }

    // A float keeps its point, so that 1.0 comes back as a float and not as the integer 1.
    private void WriteFloat(double value)
    {
        if (!double.IsFinite(value))
        {
            _writer.WriteStartObject();
            _writer.WriteString("$float", double.IsNaN(value) ? "nan" : value > 0 ? "inf" : "-inf");
            _writer.WriteEndObject();
            return;
        }

        var text = value.ToString("R", CultureInfo.InvariantCulture);
        _writer.WriteRawValue(text.AsSpan().ContainsAny('.', 'E') ? text : text + ".0", skipInputValidation: true);
    }

    private void WriteTagged(PickleNode node)
    {
        switch (node)
        {
            case PickleBytes bytes:
                Bound(bytes.Value.Length);
                _writer.WriteBase64String("$bytes", bytes.Value);
                break;
            case PickleComplex complex:
                _writer.WriteStartArray("$complex");
                WriteFloat(complex.Real);
                WriteFloat(complex.Imaginary);
                _writer.WriteEndArray();
                break;
            case PickleGlobal global:
                _writer.WriteString("$name", global.FullName);
                break;
            case PickleObject instance:
                _writer.WriteString("$object", instance.Type.FullName);
                break;
            case TorchSparse sparse:
                _writer.WriteStartObject("$sparse");
                _writer.WriteString("layout", sparse.Layout);
                _writer.WriteStartArray("shape");
                foreach (var size in sparse.Shape)
                {
                    _writer.WriteNumberValue(size);
                }

                _writer.WriteEndArray();
                _writer.WriteEndObject();
                break;
            default:
                throw new InvalidOperationException($"A {node.GetType().Name} is no leaf.");
        }
    }
}
