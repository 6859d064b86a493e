using System.Collections.Immutable;
using CloudShards.Formats.Safetensors;
using CloudShards.Formats.Torch;
using CloudShards.Formats.TorchSharp;

namespace CloudShards.Formats;

/// <summary>
/// Recognises a checkpoint and parses its structure without reading a byte itself: it says which ranges of the file it
/// <see cref="Wanted">wants</see>, is <see cref="Supply">supplied</see> with them, and after a few such rounds has a
/// <see cref="Description"/>. Tensor data is never asked for.
/// </summary>
/// <example>
/// <code>
/// var parser = new CheckpointParser(fileLength);
/// while (!parser.Wanted.IsEmpty)
/// {
///     parser.Supply(await ReadAsync(parser.Wanted));
/// }
/// </code>
/// </example>
public sealed class CheckpointParser
{
    private readonly IEnumerator<ParseStep> _steps;
    private ParseStep? _step;

    /// <summary>Begins to parse a file.</summary>
    /// <param name="fileLength">Bytes of the file.</param>
    /// <param name="limits">Bounds on what it may hold.</param>
    /// <exception cref="CheckpointFormatException">The file is empty.</exception>
    public CheckpointParser(long fileLength, CheckpointLimits? limits = null)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(fileLength);
        _steps = Recognise(fileLength, limits ?? CheckpointLimits.Default).GetEnumerator();
        Advance();
    }

    /// <summary>
    /// The ranges to read next, none of them empty, all within the file, in no particular order; none once the description is complete or the
    /// file is refused.
    /// </summary>
    public ImmutableArray<ByteRange> Wanted => _step is ByteRequest request ? request.Ranges : [];

    /// <summary>What the file holds.</summary>
    /// <exception cref="InvalidOperationException">Ranges are still wanted, or the file was refused.</exception>
    public CheckpointDescription Description => _step is Parsed parsed
        ? parsed.Description
        : throw new InvalidOperationException("There is no description: the parser still wants ranges of the file, or has refused it.");

    /// <summary>Goes on with the bytes of the <see cref="Wanted"/> ranges.</summary>
    /// <param name="bytes">One memory for each range, of its length and in the order of <see cref="Wanted"/>. They are not used after the next call.</param>
    /// <exception cref="CheckpointFormatException">The file is refused.</exception>
    /// <exception cref="ArgumentException">The bytes do not match the ranges.</exception>
    /// <exception cref="InvalidOperationException">Nothing is wanted.</exception>
    public void Supply(IReadOnlyList<ReadOnlyMemory<byte>> bytes)
    {
        ArgumentNullException.ThrowIfNull(bytes);
        if (_step is not ByteRequest request)
        {
            throw new InvalidOperationException("The parser wants nothing more.");
        }

        request.Answer(bytes);
        Advance();
    }

    private void Advance()
    {
        // A refused file stays refused.
        _step = null;

        // An arithmetic overflow that no check foresaw is a file whose numbers make no sense.
        try
        {
            _steps.MoveNext();
            _step = _steps.Current;
        }
        catch (OverflowException e)
        {
            throw Errors.NumbersOverflow(e);
        }
    }

    private static IEnumerable<ParseStep> Recognise(long fileLength, CheckpointLimits limits)
    {
        if (fileLength == 0)
        {
            throw Errors.EmptyFile();
        }

        var head = new ByteRequest(new ByteRange(0, Math.Min(fileLength, FileSignature.HeadBytes)));
        yield return head;

        var steps = FileSignature.Recognise(head.Bytes.Span, fileLength) switch
        {
            CheckpointFormat.Safetensors => SafetensorsHeader.Parse(head.Bytes, fileLength, limits),
            CheckpointFormat.TorchZip => TorchZip.Parse(fileLength, limits),
            CheckpointFormat.TorchLegacy => TorchLegacy.Parse(head.Bytes, fileLength, limits),
            CheckpointFormat.TorchTar => TorchTar.Parse(fileLength, limits),
            CheckpointFormat.TorchSharp => TorchSharpStateDict.Parse(head.Bytes, fileLength, limits),
            var other => throw new InvalidOperationException($"No parser for {other}."),
        };
        foreach (var step in steps)
        {
            yield return step;
        }
    }
}

/// <summary>What a parse comes to next: a <see cref="ByteRequest"/>, or in the end <see cref="Parsed"/>.</summary>
internal abstract class ParseStep;

/// <summary>The end of a parse.</summary>
internal sealed class Parsed(CheckpointDescription description) : ParseStep
{
    public CheckpointDescription Description { get; } = description;
}

/// <summary>Ranges that a parse wants before it can go on, and, once answered, their bytes.</summary>
internal sealed class ByteRequest(ImmutableArray<ByteRange> ranges) : ParseStep
{
    private IReadOnlyList<ReadOnlyMemory<byte>> _answer = [];

    public ByteRequest(ByteRange range)
        : this([range])
    {
    }

    public ImmutableArray<ByteRange> Ranges { get; } = ranges;

    /// <summary>The bytes of the only range.</summary>
    public ReadOnlyMemory<byte> Bytes => _answer[0];

    /// <summary>The bytes of range <paramref name="index"/>.</summary>
    public ReadOnlyMemory<byte> this[int index] => _answer[index];

    public void Answer(IReadOnlyList<ReadOnlyMemory<byte>> bytes)
    {
        if (bytes.Count != Ranges.Length || bytes.Zip(Ranges).Any(pair => pair.First.Length != pair.Second.Length))
        {
            throw new ArgumentException($"The parser wants {Ranges.Length} ranges, each of its own length.", nameof(bytes));
        }

        _answer = bytes;
    }
}
