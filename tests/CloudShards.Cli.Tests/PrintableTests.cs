namespace CloudShards.Cli.Tests;

public sealed class PrintableTests
{
    [Theory]
    [InlineData("weight", "weight")]
    [InlineData("ключ", "ключ")]
    [InlineData("🙂", "🙂")]
    [InlineData("", "\"\"")]
    [InlineData(" lead", "\" lead\"")]
    [InlineData("a\"b\\c", "\"a\\\"b\\\\c\"")]
    [InlineData("\u001b[31m", "\"\\u001b[31m\"")]
    [InlineData("a\u0085b", "\"a\\u0085b\"")]
    [InlineData("\u202egpj", "\"\\u202egpj\"")]
    [InlineData("zero\u200bwidth", "\"zero\\u200bwidth\"")]
    [InlineData("no\u00a0break", "\"no\\u00a0break\"")]
    [InlineData("\u2028", "\"\\u2028\"")]
    [InlineData("\ue000", "\"\\ue000\"")]
    public void ANameIsPlainWhereItCanBeSeenWholeAndElseQuotedWithEscapes(string name, string expected) =>
        Assert.Equal(expected, Printable.Name(name));

    // A theory's data cannot hold one.
    [Fact]
    public void HalfASurrogatePairIsEscaped() => Assert.Equal("\"a\\ud800\"", Printable.Name("a\ud800"));

    [Fact]
    public void ASentenceKeepsItsSpacesAndQuotes() => Assert.Equal("a \"b\" \\u000a c", Printable.Line("a \"b\" \n c"));
}
