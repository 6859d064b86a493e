using System.Buffers.Binary;
using System.Globalization;
using System.Numerics;
using System.Text;

namespace CloudShards.Formats.Torch;

/// <summary>
/// Reads the opcodes of a pickle and their arguments. Formats are those of CPython's <c>pickletools.py</c>; integers are little-endian, only
/// BINFLOAT is big-endian.
/// </summary>
/// <param name="pickle">The pickle.</param>
/// <param name="start">The byte of the file at which it begins, for messages.</param>
internal ref struct PickleReader(ReadOnlySpan<byte> pickle, long start)
{
    // A decimal number of that many digits is still converted in no time; no checkpoint has a longer one.
    private const int MaxDigits = 4096;

    private static readonly UTF8Encoding StrictUtf8 = new(false, throwOnInvalidBytes: true);

    private readonly ReadOnlySpan<byte> _pickle = pickle;
    private int _position;

    /// <summary>The next byte's place in the file.</summary>
    public readonly long Offset => start + _position;

    public PickleOpcode ReadOpcode() => (PickleOpcode)ReadByte();

    public byte ReadByte() => Take(1)[0];

    public ushort ReadUInt16() => BinaryPrimitives.ReadUInt16LittleEndian(Take(sizeof(ushort)));

    public int ReadInt32() => BinaryPrimitives.ReadInt32LittleEndian(Take(sizeof(int)));

    public uint ReadUInt32() => BinaryPrimitives.ReadUInt32LittleEndian(Take(sizeof(uint)));

    public ulong ReadUInt64() => BinaryPrimitives.ReadUInt64LittleEndian(Take(sizeof(ulong)));

    public double ReadDouble() => BinaryPrimitives.ReadDoubleBigEndian(Take(sizeof(double)));

    /// <summary>A length that is written as a signed number.</summary>
    public uint ReadSignedLength()
    {
        var at = Offset;
        var length = ReadInt32();
        return length >= 0 ? (uint)length : throw Errors.BadPickle("a length below zero", at);
    }

    /// <summary>Reads a truth value of protocol 1, the number <c>00</c> or <c>01</c>; returns false, and reads nothing, before another number.</summary>
    public bool TryReadBoolean(out bool value)
    {
        var rest = _pickle[_position..];
        value = rest.StartsWith("01\n"u8);
        var found = value || rest.StartsWith("00\n"u8);
        _position += found ? 3 : 0;
        return found;
    }

    /// <summary>Two's complement, little-endian, of <paramref name="length"/> bytes; none is zero.</summary>
    public BigInteger ReadLong(uint length)
    {
        var at = Offset;
        return length <= MaxDigits ? new BigInteger(Take(length)) : throw Errors.NumberTooLong(length, at);
    }

    /// <summary>A decimal number and a newline; protocol 1 ends it with <c>L</c> where it is a long.</summary>
    public BigInteger ReadDecimal(bool isLong)
    {
        var at = Offset;
        var line = ReadLine();
        if (isLong && line.EndsWith("L"u8))
        {
            line = line[..^1];
        }

        return line.Length <= MaxDigits && BigInteger.TryParse(Encoding.ASCII.GetString(line), NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var number)
            ? number
            : throw Errors.NotADecimal(at);
    }

    public byte[] ReadBytes(ulong length) => Take(length).ToArray();

    public string ReadText(ulong length)
    {
        var at = Offset;
        try
        {
            return StrictUtf8.GetString(Take(length));
        }
        catch (DecoderFallbackException)
        {
            throw Errors.TextNotUtf8(at);
        }
    }

    /// <summary>A byte string of Python 2: text in UTF-8 if it is valid, else in Latin-1.</summary>
    public string ReadPython2String(ulong length)
    {
        var bytes = Take(length);
        return System.Text.Unicode.Utf8.IsValid(bytes) ? Encoding.UTF8.GetString(bytes) : Encoding.Latin1.GetString(bytes);
    }

    public string ReadTextLine()
    {
        var at = Offset;
        var line = ReadLine();
        return System.Text.Unicode.Utf8.IsValid(line) ? Encoding.UTF8.GetString(line) : throw Errors.TextNotUtf8(at);
    }

    private ReadOnlySpan<byte> ReadLine()
    {
        var length = _pickle[_position..].IndexOf((byte)'\n');
        if (length < 0)
        {
            throw Errors.PickleTruncated(start + _pickle.Length);
        }

        var line = Take((ulong)length);
        _position++;
        return line;
    }

    private ReadOnlySpan<byte> Take(ulong length)
    {
        if (length > (ulong)(_pickle.Length - _position))
        {
            throw Errors.PickleTruncated(start + _pickle.Length);
        }

        var taken = _pickle.Slice(_position, (int)length);
        _position += (int)length;
        return taken;
    }
}
