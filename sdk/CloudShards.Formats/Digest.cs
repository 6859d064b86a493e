using System.Buffers;
using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text.Json.Serialization;

namespace CloudShards.Formats;

/// <summary>A SHA-256 over a shard's or a manifest's bytes; its text is <c>sha256:</c> and 64 lower-case hex digits.</summary>
[JsonConverter(typeof(DigestJson))]
public readonly record struct Digest
{
    /// <summary>Length of the hash in bytes.</summary>
    public const int HashBytes = 32;

    /// <summary>Length of the text in characters.</summary>
    internal const int TextLength = 7 + (2 * HashBytes);

    private const string Prefix = "sha256:";

    private readonly UInt128 _high;
    private readonly UInt128 _low;

    /// <summary>A digest of 32 bytes of SHA-256.</summary>
    /// <exception cref="ArgumentException">There are not 32 bytes.</exception>
    public Digest(ReadOnlySpan<byte> sha256)
    {
        if (sha256.Length != HashBytes)
        {
            throw new ArgumentException($"A SHA-256 has {HashBytes} bytes, not {sha256.Length}.", nameof(sha256));
        }

        _high = BinaryPrimitives.ReadUInt128BigEndian(sha256);
        _low = BinaryPrimitives.ReadUInt128BigEndian(sha256[16..]);
    }

    /// <summary>The 64 hex digits alone.</summary>
    public string Hex => $"{_high:x32}{_low:x32}";

    /// <summary>Hashes <paramref name="bytes"/>.</summary>
    public static Digest Of(ReadOnlySpan<byte> bytes)
    {
        Span<byte> hash = stackalloc byte[HashBytes];
        SHA256.HashData(bytes, hash);
        return new(hash);
    }

    /// <summary>Reads <c>sha256:</c> and 64 lower-case hex digits.</summary>
    /// <exception cref="FormatException">The text is something else.</exception>
    public static Digest Parse(ReadOnlySpan<char> text) => TryParse(text, out var digest) ? digest : throw Errors.BadDigest(text);

    /// <summary>Reads <c>sha256:</c> and 64 lower-case hex digits, or returns false.</summary>
    public static bool TryParse(ReadOnlySpan<char> text, out Digest digest)
    {
        Span<byte> hash = stackalloc byte[HashBytes];
        digest = default;
        if (!text.StartsWith(Prefix, StringComparison.Ordinal) || text.Length != TextLength
            || text.ContainsAnyInRange('A', 'F') || Convert.FromHexString(text[Prefix.Length..], hash, out _, out _) != OperationStatus.Done)
        {
            return false;
        }

        digest = new(hash);
        return true;
    }

    /// <summary><c>sha256:</c> and 64 hex digits.</summary>
    public override string ToString() => Prefix + Hex;
}
