using System.Globalization;

namespace CloudShards.Cli;

/// <summary>Numbers of things and bytes, as people read them.</summary>
internal static class Amounts
{
    private static readonly string[] Units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];

    /// <summary>As in <c>1 tensor</c> and <c>1,200 tensors</c>.</summary>
    public static string Count(Int128 count, string noun) => string.Create(CultureInfo.InvariantCulture, $"{count:N0} {noun}{(count == 1 ? "" : "s")}");

    /// <summary>As in <c>1,536 B</c>.</summary>
    public static string Bytes(Int128 bytes) => string.Create(CultureInfo.InvariantCulture, $"{bytes:N0} B");

    /// <summary>As in <c>1.5 KiB</c>.</summary>
    public static string Rounded(Int128 bytes)
    {
        var (size, unit) = ((double)bytes, 0);
        for (; size >= 1024 && unit < Units.Length - 1; unit++)
        {
            size /= 1024;
        }

        return unit == 0 ? Bytes(bytes) : string.Create(CultureInfo.InvariantCulture, $"{size:N1} {Units[unit]}");
    }

    /// <summary>As in <c>1,536 B (1.5 KiB)</c>.</summary>
    public static string BytesAndRounded(Int128 bytes) => bytes < 1024 ? Bytes(bytes) : $"{Bytes(bytes)} ({Rounded(bytes)})";
}
