using System.Buffers;
using System.Text;
using System.Text.Json;
using CloudShards.Formats;

namespace CloudShards.Cli;

/// <summary>
/// An inspection or a refusal as one line of JSON, all ASCII:
/// <c>{"format", "tensors": [{"name", "dtype", "shape", "bytes", "sha256"}], "values", "metadata"}</c>, where <c>sha256</c> is there only if it was
/// asked for, or <c>{"refused": {"cause", "offset", "tensor", "message"}}</c>.
/// </summary>
internal sealed class InspectionJson : IDisposable
{
    private const int PieceBytes = 64 << 10;

    private readonly TextWriter _output;
    private readonly ArrayBufferWriter<byte> _piece = new(PieceBytes);
    private readonly Utf8JsonWriter _json;

    private InspectionJson(TextWriter output) => (_output, _json) = (output, new(_piece));

    /// <summary>Writes an inspection.</summary>
    public static void Write(Inspection inspection, TextWriter output)
    {
        using var writer = new InspectionJson(output);
        writer.Write(inspection);
        writer.End();
    }

    /// <summary>Writes a refusal; <c>offset</c> and <c>tensor</c> are null where they are not known.</summary>
    public static void WriteRefusal(CheckpointFormatException refusal, TextWriter output)
    {
        using var writer = new InspectionJson(output);
        writer.Write(refusal);
        writer.End();
    }

    /// <inheritdoc/>
    public void Dispose() => _json.Dispose();

    private void Write(Inspection inspection)
    {
        _json.WriteStartObject();
        _json.WriteString("format", inspection.Format);
        _json.WriteStartArray("tensors");
        for (var i = 0; i < inspection.Tensors.Length; i++)
        {
            Write(inspection.Tensors[i], inspection.Digests.IsDefault ? null : inspection.Digests[i]);
            Pass(PieceBytes);
        }

        _json.WriteEndArray();
        _json.WriteStartObject("values");
        foreach (var value in inspection.Values)
        {
            value.WriteTo(_json);
            Pass(PieceBytes);
        }

        _json.WriteEndObject();
        _json.WriteStartObject("metadata");
        foreach (var (key, text) in inspection.Description.Metadata)
        {
            _json.WriteString(key, text);
            Pass(PieceBytes);
        }

        _json.WriteEndObject();
        _json.WriteEndObject();
    }

    private void Write(TensorInfo tensor, Digest? digest)
    {
        _json.WriteStartObject();
        _json.WriteString("name", tensor.Name);
        _json.WriteString("dtype", tensor.DType.Name());
        _json.WriteStartArray("shape");
        foreach (var size in tensor.Shape)
        {
            _json.WriteNumberValue(size);
        }

        _json.WriteEndArray();
        _json.WriteNumber("bytes", tensor.Bytes);
        if (digest is { } sha256)
        {
            _json.WriteString("sha256", sha256.Hex);
        }

        _json.WriteEndObject();
    }

    private void Write(CheckpointFormatException refusal)
    {
        _json.WriteStartObject();
        _json.WriteStartObject("refused");
        _json.WriteString("cause", refusal.Error.ToString());
        if (refusal.Offset is { } offset)
        {
            _json.WriteNumber("offset", offset);
        }
        else
        {
            _json.WriteNull("offset");
        }

        _json.WriteString("tensor", refusal.Tensor);
        _json.WriteString("message", refusal.Message);
        _json.WriteEndObject();
        _json.WriteEndObject();
    }

    private void End()
    {
        Pass(0);
        _output.WriteLine();
    }

    // Hands on what has gathered, so that no checkpoint is in memory as text. Between two items no character is cut.
    private void Pass(int atLeast)
    {
        if (_json.BytesPending + _piece.WrittenCount >= atLeast)
        {
            _json.Flush();
            _output.Write(Encoding.ASCII.GetString(_piece.WrittenSpan));
            _piece.ResetWrittenCount();
        }
    }
}
