using System.Globalization;
using static TorchSharp.torch;

namespace Quickstart;

/// <summary>Images that the classifier was not trained on, with their labels and the logits that PyTorch gave.</summary>
/// <param name="Images">[N, 1, 8, 8], F32 in 0..1.</param>
/// <param name="Labels">[N], I64.</param>
/// <param name="Logits">[N, 10], F32.</param>
internal sealed record HeldOutDigits(Tensor Images, Tensor Labels, Tensor Logits) : IDisposable
{
    private const int Pixels = 64;
    private const int Classes = 10;

    /// <summary>Reads a CSV of a header line and rows of a label, 64 pixels of 0 to 16, and 10 logits.</summary>
    public static HeldOutDigits Read(string file)
    {
        var rows = File.ReadLines(file).Skip(1).Select(line => Array.ConvertAll(line.Split(','), text => float.Parse(text, CultureInfo.InvariantCulture))).ToArray();
        return new(
            tensor(rows.SelectMany(row => row[1..(1 + Pixels)].Select(pixel => pixel / 16)).ToArray(), [rows.Length, 1, 8, 8]),
            tensor(rows.Select(row => (long)row[0]).ToArray()),
            tensor(rows.SelectMany(row => row[^Classes..]).ToArray(), [rows.Length, Classes]));
    }

    public void Dispose()
    {
        Images.Dispose();
        Labels.Dispose();
        Logits.Dispose();
    }
}
