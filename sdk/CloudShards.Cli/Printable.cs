using System.Globalization;
using System.Text;

namespace CloudShards.Cli;

/// <summary>
/// Makes text from files safe to print: what a terminal would act on, hide or show in another order becomes an escape as in <c>\u001b</c>.
/// </summary>
internal static class Printable
{
    /// <summary>A sentence.</summary>
    public static string Line(string text) => Append(new(), text).ToString();

    /// <summary>A name: in quotes where its bounds could not be seen otherwise.</summary>
    public static string Name(string text) => text.Length > 0 && !text.AsSpan().ContainsAny(' ', '"', '\\') && IsPlain(text) ? text : Quoted(text);

    /// <summary>A text in quotes.</summary>
    public static string Quoted(string text) =>
        Append(new("\""), text.Replace("\\", "\\\\", StringComparison.Ordinal).Replace("\"", "\\\"", StringComparison.Ordinal)).Append('"').ToString();

    private static bool IsPlain(string text)
    {
        foreach (var rune in text.EnumerateRunes())
        {
            // EnumerateRunes gives the replacement for half a pair.
            if (!IsPrintable(rune) || rune == Rune.ReplacementChar)
            {
                return false;
            }
        }

        return true;
    }

    private static StringBuilder Append(StringBuilder to, ReadOnlySpan<char> text)
    {
        while (!text.IsEmpty)
        {
            var isRune = Rune.DecodeFromUtf16(text, out var rune, out var length) == System.Buffers.OperationStatus.Done;
            if (isRune && IsPrintable(rune))
            {
                to.Append(text[..length]);
            }
            else
            {
                foreach (var half in text[..length])
                {
                    to.Append(CultureInfo.InvariantCulture, $"\\u{(int)half:x4}");
                }
            }

            text = text[length..];
        }

        return to;
    }

    private static bool IsPrintable(Rune rune) => rune.Value == ' ' || Rune.GetUnicodeCategory(rune) is not (
        UnicodeCategory.Control or UnicodeCategory.Format or UnicodeCategory.Surrogate or UnicodeCategory.PrivateUse or UnicodeCategory.OtherNotAssigned
        or UnicodeCategory.LineSeparator or UnicodeCategory.ParagraphSeparator or UnicodeCategory.SpaceSeparator);
}
