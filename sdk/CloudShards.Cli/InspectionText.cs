using System.Collections.Immutable;
using System.Globalization;
using System.Text;
using System.Text.Json;
using CloudShards.Formats;

namespace CloudShards.Cli;

/// <summary>An inspection as text for people. It does not depend on a terminal, and nothing in the file can act on one.</summary>
internal static class InspectionText
{
    // A wider column would push the others out of sight for the sake of a few long names.
    private const int MaxLabelWidth = 60;
    private const int MaxShapeWidth = 24;
    private const int MaxValueLength = 120;

    /// <summary>Writes an inspection.</summary>
    public static void Write(Inspection inspection, TextWriter output)
    {
        var files = inspection.IsSet ? $" of {Amounts.Count(inspection.Files, $"{inspection.Description.Format.Name()} file")}" : "";
        output.WriteLine($"{Printable.Line(inspection.Name)}: {inspection.Format}{files}, {Amounts.Bytes(inspection.FileBytes)}");
        output.WriteLine();
        var shared = TiedTensors.Of(inspection.Tensors);
        WriteTree(inspection, shared, output);
        WriteSection("Values", inspection.Values.Select(value => (value.Name, ValueText(value.Value))), output);
        WriteSection("Metadata", inspection.Description.Metadata.Select(text => (text.Key, Printable.Quoted(Cut(text.Value)))), output);
        WriteTotals(inspection.Tensors, shared, output);
    }

    /// <summary>The one line that tells of a refusal.</summary>
    public static string Refusal(CheckpointFormatException refusal) =>
        Printable.Line(string.Create(
            CultureInfo.InvariantCulture,
            $"refused: {refusal.Error}{(refusal.Offset is { } offset ? $" at byte {offset}" : "")}: {refusal.Message}"));

    private static void WriteTree(Inspection inspection, TiedTensors shared, TextWriter output)
    {
        if (inspection.Tensors.IsEmpty)
        {
            return;
        }

        var tree = ModuleTree.Of(inspection.Tensors);
        var labels = Math.Min(MaxLabelWidth, tree.Rows().Where(row => row.Tensor is not null).Max(row => (2 * row.Depth) + row.Label.Length));
        var dtypes = inspection.Tensors.Max(tensor => tensor.DType.Name().Length);
        var shapes = Math.Min(MaxShapeWidth, inspection.Tensors.Max(tensor => tensor.Shape.ToString().Length));
        var sizes = inspection.Tensors.Max(tensor => Amounts.Bytes(tensor.Bytes).Length);
        var line = new StringBuilder();
        foreach (var row in tree.Rows())
        {
            line.Append(' ', 2 * row.Depth).Append(row.Label);
            if (row.Tensor is { } i)
            {
                var tensor = inspection.Tensors[i];
                line.Append(' ', Math.Max(0, labels - line.Length)).Append("  ").Append(tensor.DType.Name().PadRight(dtypes));
                line.Append("  ").Append(tensor.Shape.ToString().PadRight(shapes)).Append("  ").Append(Amounts.Bytes(tensor.Bytes).PadLeft(sizes));
                line.Append(inspection.Digests.IsDefault ? "" : $"  {inspection.Digests[i]}").Append(SharingText(i, inspection.Tensors, shared));
            }
            else
            {
                line.Append(CultureInfo.InvariantCulture, $"  ({Amounts.Count(row.Tensors, "tensor")}, {Amounts.Bytes(row.Bytes)})");
            }

            output.WriteLine(line);
            line.Clear();
        }

        output.WriteLine();
    }

    private static string SharingText(int tensor, ImmutableArray<TensorInfo> tensors, TiedTensors shared) =>
        shared.SameAs[tensor] is var same && same != tensor ? $"  same bytes as {Printable.Name(tensors[same].Name)}"
        : shared.Meets[tensor] is var other && other != tensor ? $"  shares storage with {Printable.Name(tensors[other].Name)}"
        : "";

    private static void WriteSection(string title, IEnumerable<(string Name, string Text)> entries, TextWriter output)
    {
        var isEmpty = true;
        foreach (var (name, text) in entries)
        {
            if (isEmpty)
            {
                output.WriteLine(title);
                isEmpty = false;
            }

            output.WriteLine($"  {Printable.Name(name)} = {text}");
        }

        if (!isEmpty)
        {
            output.WriteLine();
        }
    }

    private static void WriteTotals(ImmutableArray<TensorInfo> tensors, TiedTensors shared, TextWriter output)
    {
        output.WriteLine(Total(tensors));
        var distinct = tensors.Where((_, i) => shared.SameAs[i] == i).ToArray();
        if (distinct.Length < tensors.Length)
        {
            output.WriteLine($"  tied ones counted once: {Total(distinct)}");
        }

        var dtypes = tensors.GroupBy(tensor => tensor.DType).ToArray();
        if (dtypes.Length > 1)
        {
            foreach (var dtype in dtypes)
            {
                output.WriteLine($"  {dtype.Key.Name()}: {Total(dtype)}");
            }
        }
    }

    private static string Total(IEnumerable<TensorInfo> tensors)
    {
        // Tied tensors are not bounded by the size of any file.
        var (count, elements, bytes) = (0, Int128.Zero, Int128.Zero);
        foreach (var tensor in tensors)
        {
            count++;
            elements += tensor.Shape.ElementCount();
            bytes += tensor.Bytes;
        }

        return $"{Amounts.Count(count, "tensor")}, {Amounts.Count(elements, "element")}, {Amounts.BytesAndRounded(bytes)}";
    }

    private static string ValueText(JsonElement value) => value.ValueKind == JsonValueKind.String
        ? Printable.Quoted(Cut(value.GetString()!))
        : Printable.Line(Cut(value.GetRawText()));

    private static string Cut(string text) => text.Length <= MaxValueLength ? text : $"{text.AsSpan(0, MaxValueLength)}…";
}
