using System.Buffers.Binary;

namespace CloudShards.Formats.Torch;

/// <summary>
/// What a pickle has remembered. Picklers remember nearly everything and read little of it again, so what is never read is not kept: the pickle is looked
/// through beforehand. Slots are numbered from 0 up by every pickler, so that they lie in a table; of those far beyond the bytes read so far a few are borne
/// with, and more are refused.
/// </summary>
internal sealed class PickleMemo
{
    private const int PageSlots = 64;

    // Picklers number densely; hand-made pickles of a few bytes do not.
    private const int Slack = 1024;
    private const int MaxFarSlots = 1024;

    private readonly SlotSet _read = new();
    private readonly SlotSet _written = new();
    private readonly Dictionary<uint, PickleNode> _far = [];
    private readonly List<PickleNode?[]?> _pages = [];
    private readonly PickleBudget _budget;

    private PickleMemo(CheckpointLimits limits, ReadOnlySpan<byte> pickle)
    {
        PickleBytes = FindReads(pickle);
        _budget = new(limits, PickleBytes);
    }

    /// <summary>Bytes of the pickle, to its STOP.</summary>
    public int PickleBytes { get; }

    /// <summary>What the pickle may take.</summary>
    public PickleBudget Budget => _budget;

    /// <summary>How many slots were written.</summary>
    public int Count { get; private set; }

    /// <summary>The empty memo of a pickle that is yet to run.</summary>
    public static PickleMemo Of(ReadOnlySpan<byte> pickle, CheckpointLimits limits) => new(limits, pickle);

    /// <summary>Remembers a value.</summary>
    /// <param name="slot">Where.</param>
    /// <param name="node">The value.</param>
    /// <param name="position">Bytes of the pickle read so far.</param>
    /// <param name="offset">The instruction's place in the file.</param>
    /// <exception cref="CheckpointFormatException">No pickler would have come to that slot.</exception>
    public void Put(uint slot, PickleNode node, long position, long offset)
    {
        if (slot > position + Slack)
        {
            PutFar(slot, node, offset);
            return;
        }

        Count += _written.Add((int)slot) ? 1 : 0;
        if (!_read.Contains((int)slot))
        {
            return;
        }

        var page = (int)slot / PageSlots;
        if (page >= _pages.Count)
        {
            var more = page + 1 - _pages.Count;
            _budget.Grow(_pages, more, PickleBudget.Item);
            _pages.AddRange(Enumerable.Repeat<PickleNode?[]?>(null, more));
        }

        if (_pages[page] is null)
        {
            _budget.Spend(PickleBudget.Array + (PageSlots * PickleBudget.Item));
            _pages[page] = new PickleNode?[PageSlots];
        }

        _pages[page]![slot % PageSlots] = node;
        node.Share();
    }

    /// <summary>The value in a slot, or null.</summary>
    public PickleNode? Get(uint slot) =>
        (slot / PageSlots < _pages.Count ? _pages[(int)(slot / PageSlots)]?[slot % PageSlots] : null) ?? _far.GetValueOrDefault(slot);

    private void PutFar(uint slot, PickleNode node, long offset)
    {
        Count += _far.ContainsKey(slot) ? 0 : 1;
        _far[slot] = node;
        node.Share();
        if (_far.Count > MaxFarSlots)
        {
            throw Errors.BadPickle($"the memo's slot {slot}, far beyond those before it", offset);
        }
    }

    // Notes which slots are read. Where the pickle makes no sense this looks on or ends: running it tells what is wrong.
    private int FindReads(ReadOnlySpan<byte> pickle)
    {
        var at = 0;
        while (at < pickle.Length)
        {
            var opcode = (PickleOpcode)pickle[at++];
            var rest = pickle[at..];
            if (opcode == PickleOpcode.Stop)
            {
                return at;
            }

            if (opcode == PickleOpcode.BinGet && rest.Length > 0)
            {
                _read.Add(rest[0]);
            }
            else if (opcode == PickleOpcode.LongBinGet && rest.Length >= sizeof(uint) && BinaryPrimitives.ReadUInt32LittleEndian(rest) is var slot
                && slot <= (long)at + Slack)
            {
                _read.Add((int)slot);
            }

            var argument = ArgumentBytes(opcode, rest);
            if (argument > rest.Length)
            {
                break;
            }

            at += (int)argument;
        }

        return pickle.Length;
    }

    private static long ArgumentBytes(PickleOpcode opcode, ReadOnlySpan<byte> rest)
    {
        switch (opcode)
        {
            case PickleOpcode.BinGet or PickleOpcode.BinPut or PickleOpcode.BinInt1 or PickleOpcode.Proto:
                return 1;
            case PickleOpcode.BinInt2:
                return sizeof(ushort);
            case PickleOpcode.BinInt or PickleOpcode.LongBinGet or PickleOpcode.LongBinPut:
                return sizeof(int);
            case PickleOpcode.BinFloat or PickleOpcode.Frame:
                return sizeof(long);
            case PickleOpcode.ShortBinUnicode or PickleOpcode.ShortBinString or PickleOpcode.ShortBinBytes or PickleOpcode.Long1:
                return rest.Length < 1 ? 1 : 1 + rest[0];
            case PickleOpcode.BinUnicode or PickleOpcode.BinString or PickleOpcode.BinBytes or PickleOpcode.Long4:
                return rest.Length < sizeof(uint) ? sizeof(uint) : sizeof(uint) + (long)BinaryPrimitives.ReadUInt32LittleEndian(rest);
            case PickleOpcode.BinUnicode8 or PickleOpcode.BinBytes8 or PickleOpcode.ByteArray8:
                return rest.Length < sizeof(ulong) ? sizeof(ulong)
                    : sizeof(ulong) + (long)Math.Min(int.MaxValue, BinaryPrimitives.ReadUInt64LittleEndian(rest));
            case PickleOpcode.Int or PickleOpcode.Long:
                return LineBytes(rest);
            case PickleOpcode.Global:
                var module = LineBytes(rest);
                return module >= rest.Length ? module : module + LineBytes(rest[(int)module..]);
            default:
                return 0;
        }
    }

    private static long LineBytes(ReadOnlySpan<byte> rest)
    {
        var length = rest.IndexOf((byte)'\n');
        return length < 0 ? rest.Length + 1L : length + 1L;
    }

    /// <summary>Some of the numbers from 0 up, a bit for each.</summary>
    private sealed class SlotSet
    {
        private ulong[] _bits = [];

        /// <summary>Adds a number; false where it was there.</summary>
        public bool Add(int number)
        {
            var word = number / 64;
            if (word >= _bits.Length)
            {
                Array.Resize(ref _bits, Math.Max(word + 1, 2 * _bits.Length));
            }

            var bit = 1UL << (number % 64);
            var isNew = (_bits[word] & bit) == 0;
            _bits[word] |= bit;
            return isNew;
        }

        public bool Contains(int number) => number / 64 < _bits.Length && (_bits[number / 64] & (1UL << (number % 64))) != 0;
    }
}
