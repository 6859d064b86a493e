using CloudShards.Formats.Tests.Files;
using static CloudShards.Formats.Tests.Files.PickleBytes;

namespace CloudShards.Formats.Tests.TorchZip;

/// <summary>
/// Small pickles that name one thing many times. Work is measured by what it allocates, and by whether the same file at twice the size costs about twice
/// as much.
/// </summary>
public sealed class AmplificationTests
{
    private static readonly byte[] W = Storage("0", 4);
    private static readonly byte[] Pop = "0"u8.ToArray();
    private static readonly byte[] View = Global("torch._utils", "_rebuild_tensor_v2");

    // Each by how often something is repeated.
    private static readonly Dictionary<string, Func<int, byte[]>> Amplifiers = new()
    {
        ["a state in slots for many objects"] = n => Join(
            Tuple(None, DictOf([.. Enumerable.Repeat((None, None), n)])), Put(0), Pop, Global("m", "X"), Put(1), Pop,
            Many(n, Get(1), EmptyTuple, "R"u8.ToArray(), Get(0), "b"u8.ToArray())),
        ["a module with many attributes under many names"] = n => Join(
            Tensor(W, [4]), Put(0), Pop, Global("m", "Net"), ")R"u8.ToArray(),
            Dict([.. Module(Get(0)), .. Enumerable.Range(0, n).Select(i => ($"a{i}", None))]), "b"u8.ToArray(), Put(1), Pop, Many(n, Get(1))),
        ["many modules that share their attributes"] = n => Join(
            Tensor(W, [4]), Put(0), Pop, Dict([.. Module(Get(0)), .. Enumerable.Range(0, n).Select(i => ($"a{i}", None))]), Put(1), Pop, Global("m", "Net"), Put(2), Pop,
            Many(n, Get(2), EmptyTuple, "R"u8.ToArray(), Get(1), "b"u8.ToArray())),
        ["an optimizer whose groups are one"] = n => Join(
            Tensor(W, [4]), Put(0), Pop, EmptyDict, Put(1), "("u8.ToArray(), Text("params"), EmptyList, Repeat(Join(None, Get(1)), n), "u0"u8.ToArray(),
            Global("m", "Opt"), ")R"u8.ToArray(), Dict(("t", Get(0)), ("state", EmptyDict), ("param_groups", Many(n, Get(1)))), "b"u8.ToArray()),
        ["a module at the end of a long name"] = n => Join(
            Global("m", "Net"), ")R"u8.ToArray(), Dict([.. Module(None), ("t", Tensor(W, [4]))]), "b"u8.ToArray(), Put(1), Pop,
            Dict((new string('a', 60_000), Many(n, Get(1))))),
        ["dictionaries that hold each other under no name"] = n => Join(
            Text(""), Put(99), Pop, Join([.. Enumerable.Range(0, 8).SelectMany(i => (byte[][])[EmptyDict, Put((uint)i), Pop])]),
            Join([.. Enumerable.Range(0, 8).SelectMany(i => (byte[][])[
                Get((uint)i), "("u8.ToArray(), .. Enumerable.Range(0, n / 8).Select(k => Join(Get(99), Get((uint)((i + 1 + (k % 7)) % 8)))), "u0"u8.ToArray()])]),
            Get(0)),
        ["strides whose hash codes are alike"] = n => Join(
            W, Put(0), Pop, View, Put(1), Pop, OrderedDict, Put(2), Pop, Numbers(1), Put(3), Pop,
            List([.. Enumerable.Range(1, n).Select(i => Join(
                Get(1), Tuple(Get(0), Integer(0), Get(3), Numbers(((long)i << 32) | (uint)i), False, Get(2)), "R"u8.ToArray()))])),
        ["slots of the memo that are alike to a hash table"] = n => Join(
            None, Join([.. Enumerable.Range(0, n).Select(i => Put((uint)i * 75_431))]), Repeat(Join(Get(0), Pop), n), Pop, EmptyDict),
        ["slots of the memo in a row"] = n => Join(
            None, Join([.. Enumerable.Range(0, n).Select(i => Put((uint)i))]), Repeat(Join(Get(0), Pop), n), Pop, EmptyDict),
        ["one long text as many values"] = n => Join(Text(new string('x', n)), Put(0), Pop, Many(n, Get(0))),
        ["one long list as many values"] = n => Join(List([.. Enumerable.Repeat(None, n)]), Put(0), Pop, Many(n, Get(0))),
        ["one long name of a class"] = n => Join(Text(new string('a', 1000)), Put(0), Pop, Many(n, Get(0), Get(0), [0x93])),
        ["one list copied and dropped"] = n => Join(
            List([.. Enumerable.Repeat(None, n)]), Put(0), Pop, Global("builtins", "list"), Put(1), Pop, OrderedDict,
            Repeat(Join(Get(1), Get(0), [0x85], "R"u8.ToArray(), "b"u8.ToArray()), n)),
        ["one tuple of sizes in tensors that are dropped"] = n => Join(
            Tuple(W, Integer(0), Numbers([.. Enumerable.Repeat(1L, 64)]), Numbers([.. Enumerable.Repeat(1L, 64)])), Put(0), Pop, View, Put(1), Pop,
            Repeat(Join(Get(1), Get(0), "R"u8.ToArray(), Pop), n), EmptyDict),
    };

    public static TheoryData<string> Names => [.. Amplifiers.Keys];

    [Theory]
    [MemberData(nameof(Names))]
    public void TwiceTheRepetitionsAreNoMoreThanAboutTwiceTheWork(string what)
    {
        var (few, many) = (Measure(what, 4_000), Measure(what, 8_000));

        Assert.InRange(many, 0, Math.Max(8L << 20, 3 * few));
        Assert.InRange(many, 0, 96L << 20);
    }

    // Written by Python: 16 MB of MEMOIZE took 1.3 GB, 5.5 MB of empty dictionaries 491 MB.
    [Theory]
    [InlineData("N", 0x94)]
    [InlineData("(", (byte)'}')]
    [InlineData("(", (byte)']')]
    [InlineData("(", 0x8f)]
    [InlineData("", (byte)'(')]
    [InlineData("", (byte)'N')]
    public void WhatOneByteMakesIsBoundedInAll(string before, int instruction)
    {
        var file = ZipBytes.Checkpoint(Pickle(System.Text.Encoding.ASCII.GetBytes(before), Repeat([(byte)instruction], 6_000_000)));
        var (allocated, refusal) = CheckpointBytes.Measure(file);

        Assert.True(refusal is null or { Error: CheckpointError.LimitExceeded or CheckpointError.Malformed }, refusal?.Message);
        Assert.InRange(allocated, 0, CheckpointLimits.Default.MaxPickleMemory);
    }

    [Fact]
    public void WhatIsDroppedIsPaidBack()
    {
        // A tensor's arguments are garbage once it is made: 64 dimensions of nothing but arguments, again and again.
        var tensor = Join(Tensor(W, [1], [1]), Pop);
        var file = ZipBytes.Checkpoint(Pickle(Repeat(tensor, 2_000), EmptyDict), ("0", new byte[16]));

        Assert.Null(CheckpointBytes.Measure(file, new() { MaxPickleMemory = 2_000 * 480 }).Refusal);
    }

    [Fact]
    public void AValueThatIsHeldElsewhereIsNotPaidBackTwice()
    {
        // The arguments come out of the memo each time.
        var pickle = Pickle(
            Tuple(W, Integer(0), Numbers(4), Numbers(1)), Put(0), Pop, View, Put(1), Pop, Repeat(Join(Get(1), Get(0), "R0"u8.ToArray()), 10_000), EmptyDict);

        Assert.Equal(
            CheckpointError.LimitExceeded,
            CheckpointBytes.Refuse(ZipBytes.Checkpoint(pickle, ("0", new byte[16])), new() { MaxPickleMemory = 1_000_000 }).Error);
    }

    [Fact]
    public void ADictionaryListedUnderManyNamesIsRefusedBeforeItIsListed()
    {
        // Found by fuzzing: 16 KB that took 92 MB.
        var pickle = Pickle(
            Tensor(W, [4], [1]), Put(0), Pop, Dict([.. Enumerable.Range(0, 500).Select(i => ($"{i}", Get(0)))]), Put(1), Pop, Many(500, Get(1)));
        var file = ZipBytes.Checkpoint(pickle, ("0", new byte[16]));

        var (allocated, refusal) = CheckpointBytes.Measure(file);

        Assert.Equal(CheckpointError.LimitExceeded, refusal?.Error);
        Assert.Contains(nameof(CheckpointLimits.MaxExpansion), refusal!.Message, StringComparison.Ordinal);
        Assert.InRange(allocated, 0, 4 << 20);
    }

    [Fact]
    public void ViewsThatSpanTheFileAreRefusedWhereTheyWouldBeReadForEver()
    {
        const int Elements = 4 << 20;
        var tensors = Enumerable.Range(0, 20_000).Select(i => Tensor(Get(0), [2, 2], [Elements - 40_000, 1], i));
        var file = ZipBytes.Checkpoint(Pickle(Storage("0", Elements, "ByteStorage"), Put(0), Pop, List([.. tensors])), ("0", new byte[Elements]));

        var refusal = CheckpointBytes.Refuse(file);

        Assert.Equal(CheckpointError.LimitExceeded, refusal.Error);
        Assert.Contains(nameof(CheckpointLimits.MaxGatherPasses), refusal.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void ScalesThatOverlapAreNotAskedForOneByOne()
    {
        const int Channels = 1 << 16;
        var zeroPoints = Tensor(Storage("2", Channels, "LongStorage"), [Channels]);
        var tensors = Enumerable.Range(0, 1000).Select(i => Call(
            "torch._utils", "_rebuild_qtensor", Get(0), Integer(0), Numbers(Channels), Numbers(1),
            Tuple(Global("torch", "per_channel_affine"), Tensor(Get(1), [Channels], [1], i), Get(2), Integer(0)), False, OrderedDict));
        var pickle = Pickle(
            Storage("0", Channels, "QInt8Storage"), Put(0), Pop, Storage("1", 2 * Channels, "DoubleStorage"), Put(1), Pop, zeroPoints, Put(2), Pop, List([.. tensors]));
        var file = ZipBytes.Checkpoint(pickle, ("0", new byte[Channels]), ("1", new byte[16 * Channels]), ("2", new byte[8 * Channels]));

        var (allocated, refusal) = CheckpointBytes.Measure(file);

        Assert.Equal(CheckpointError.LimitExceeded, refusal?.Error);
        Assert.InRange(allocated, 0, 32 << 20);
    }

    private static byte[] Many(int count, params byte[][] parts) => Join(EmptyList, "("u8.ToArray(), Repeat(Join(parts), count), "e"u8.ToArray());

    private static (string, byte[])[] Module(byte[] parameter) =>
        [("_parameters", Dict(("w", parameter))), ("_buffers", EmptyDict), ("_modules", EmptyDict)];

    private static long Measure(string what, int count)
    {
        var (allocated, refusal) = CheckpointBytes.Measure(ZipBytes.Checkpoint(Pickle(Amplifiers[what](count)), ("0", new byte[16])));
        Assert.True(refusal is null or { Error: CheckpointError.LimitExceeded or CheckpointError.Malformed or CheckpointError.Unsupported }, $"{what}: {refusal?.Message}");
        return allocated;
    }
}
