using CloudShards.Formats.Tests.Files;
using static CloudShards.Formats.Tests.Files.PickleBytes;

namespace CloudShards.Formats.Tests.TorchZip;

public sealed class AttackTests
{
    private static readonly byte[] W = Storage("0", 4);
    private static readonly byte[] Pop = "0"u8.ToArray();
    private static readonly byte[] OneArgument = [0x85, (byte)'R'];

    // Names that could run code where a file is unpickled, whether called or only named.
    [Theory]
    [InlineData("os", "system")]
    [InlineData("os.path", "join")]
    [InlineData("posix", "system")]
    [InlineData("nt", "system")]
    [InlineData("subprocess", "Popen")]
    [InlineData("builtins", "eval")]
    [InlineData("builtins", "exec")]
    [InlineData("builtins", "__import__")]
    [InlineData("builtins", "getattr")]
    [InlineData("builtins", "open")]
    [InlineData("__builtin__", "compile")]
    [InlineData("importlib", "import_module")]
    [InlineData("runpy", "run_path")]
    [InlineData("pickle", "loads")]
    [InlineData("_pickle", "loads")]
    [InlineData("operator", "attrgetter")]
    [InlineData("socket", "create_connection")]
    [InlineData("ctypes", "CDLL")]
    [InlineData("shutil", "rmtree")]
    [InlineData("pip", "main")]
    [InlineData("torch", "serialization.os.system")]
    [InlineData("collections", "OrderedDict.__init__")]
    [InlineData("pathlib", "os.system")]
    [InlineData("logging", "sys.modules")]
    public void ANameThatCouldRunCodeIsRefused(string module, string name)
    {
        foreach (var pickle in (byte[][])[
            Pickle(Global(module, name)),
            Pickle(Text(module), Text(name), [0x93]),
            Pickle(Dict(("w", Tensor(W, [4])), ("x", Call(module, name, Text("touch CLOUDSHARDS_PWNED"))))),
            Pickle(Call("torch._utils", "_rebuild_tensor_v2", W, Integer(0), Numbers(4), Numbers(1), False, Call(module, name))),
        ])
        {
            var refusal = CheckpointBytes.Refuse(ZipBytes.Checkpoint(pickle, ("0", new byte[16])));

            Assert.Equal(CheckpointError.Forbidden, refusal.Error);
            Assert.Contains($"`{module}.{name}`", refusal.Message, StringComparison.Ordinal);
            Assert.NotNull(refusal.Offset);
        }
    }

    // Codecs and sizes that would make much out of little.
    [Theory]
    [InlineData("_codecs", "encode", "zlib")]
    [InlineData("_codecs", "encode", "rot13")]
    [InlineData("builtins", "bytearray", "utf-16")]
    public void OnlyLatin1IsEncoded(string module, string name, string codec) => Assert.Equal(
        CheckpointError.Malformed, CheckpointBytes.Refuse(ZipBytes.Checkpoint(Pickle(Call(module, name, Text("a"), Text(codec))))).Error);

    [Fact]
    public void ABytearrayOfANumberIsRefused() => Assert.Equal(
        CheckpointError.Malformed, CheckpointBytes.Refuse(ZipBytes.Checkpoint(Pickle(Call("builtins", "bytearray", Integer(1L << 40))))).Error);

    [Fact]
    public void DepthIsBoundedWithoutRecursion()
    {
        const int Levels = 10_000;
        var t = Tensor(W, [4]);
        foreach (var pickle in (byte[][])[
            Pickle(Repeat(EmptyList, Levels), Repeat("a"u8.ToArray(), Levels - 1)),
            Pickle(None, Repeat([0x85], Levels)),
            Pickle(Repeat(Join(EmptyDict, Text("k")), Levels), None, Repeat("s"u8.ToArray(), Levels)),
            Pickle(Repeat(Join(EmptyDict, Text("k")), Levels), t, Repeat("s"u8.ToArray(), Levels)),
            Pickle(t, Repeat([0x85], Levels)),
            Pickle(Repeat("("u8.ToArray(), Levels), None, Repeat("t"u8.ToArray(), Levels)),
        ])
        {
            var refusal = CheckpointBytes.Refuse(ZipBytes.Checkpoint(pickle, ("0", new byte[16])));

            Assert.Equal(CheckpointError.LimitExceeded, refusal.Error);
        }

        Assert.Null(CheckpointBytes.TryDescribe(ZipBytes.Checkpoint(
            Pickle(Repeat(Join(Global("a", "B"), "("u8.ToArray()), Levels), Repeat("tR"u8.ToArray(), Levels)))));
    }

    // One instruction over and over: what the parser holds is in proportion to the pickle.
    public static TheoryData<string, byte[]> Repetitions => new()
    {
        { "lists", EmptyList },
        { "dicts", EmptyDict },
        { "tuples", EmptyTuple },
        { "sets", EmptySet },
        { "marks", "("u8.ToArray() },
        { "numbers", [(byte)'K', 7] },
        { "long numbers", [0x8a, 1, 7] },
        { "floats", Float(1) },
        { "texts", [0x8c, 0] },
        { "bytes", [(byte)'C', 0] },
        { "ordered dicts", OrderedDict },
        { "objects", Call("a", "b") },
        { "memo", [(byte)'N', 0x94] },
        { "nested lists", [(byte)']', (byte)']', (byte)'a'] },
        { "tensors", Tensor(W, [4]) },
    };

    [Theory]
    [MemberData(nameof(Repetitions))]
    public void WhatAPickleMakesIsInProportionToIt(string what, byte[] instruction)
    {
        var file = ZipBytes.Checkpoint(Pickle(Repeat(instruction, (256 << 10) / instruction.Length)), ("0", new byte[16]));
        var (allocated, _) = CheckpointBytes.Measure(file);

        Assert.True(allocated <= 300L * file.Length, $"{what}: {allocated / (double)file.Length:F0} bytes for each");
    }

    // Something large that is remembered once and then copied, compared or named over and over.
    public static TheoryData<string, byte[]> Copies
    {
        get
        {
            var many = Join("("u8.ToArray(), Repeat(None, 10_000), "l"u8.ToArray());
            var pairs = Join("("u8.ToArray(), Repeat(Tuple(None, None), 10_000), "l"u8.ToArray());
            var dict = Join("("u8.ToArray(), Repeat([(byte)'K', 1, (byte)'N'], 10_000), "d"u8.ToArray());
            var text = Text(new string('x', 100_000));
            var latin1 = Text("latin1");
            var sizes = Numbers([.. Enumerable.Repeat(1L, 64)]);
            var view = Tuple(W, Integer(0), sizes, sizes, False, OrderedDict);
            return new()
            {
                { "list", Again(many, Global("builtins", "list"), OneArgument) },
                { "set", Again(many, Global("builtins", "set"), OneArgument) },
                { "frozenset", Again(many, Global("builtins", "frozenset"), OneArgument) },
                { "tuple", Again(many, Global("builtins", "tuple"), OneArgument) },
                { "Size", Again(many, Global("torch", "Size"), OneArgument) },
                { "OrderedDict of pairs", Again(pairs, Global("collections", "OrderedDict"), OneArgument) },
                { "OrderedDict of a dict", Again(dict, Global("collections", "OrderedDict"), OneArgument) },
                { "Counter", Again(dict, Global("collections", "Counter"), OneArgument) },
                { "encode", Again(Tuple(text, latin1), Global("_codecs", "encode"), "R"u8.ToArray()) },
                { "bytearray", Again(Tuple(text, latin1), Global("builtins", "bytearray"), "R"u8.ToArray()) },
                { "tensor", Again(view, Global("torch._utils", "_rebuild_tensor_v2"), "R"u8.ToArray()) },
                { "global", Again(EmptyTuple, Global("a", new string('x', 100_000)), "R"u8.ToArray()) },
                { "dotted global", Again(None, Global(new string('.', 100_000), "x"), []) },
                { "device", Again(Tuple(Text("cuda"), Join([0x8b, 0, 16, 0, 0], new byte[4095], [1])), Global("torch", "device"), "R"u8.ToArray()) },
            };
        }
    }

    [Theory]
    [MemberData(nameof(Copies))]
    public void WhatIsRememberedCannotBeMultiplied(string what, byte[] pickle)
    {
        const int Memory = 5_000_000;
        var file = ZipBytes.Checkpoint(pickle, ("0", new byte[16]));
        var (allocated, refusal) = CheckpointBytes.Measure(file, new() { MaxPickleMemory = Memory });

        Assert.True(refusal?.Error is CheckpointError.LimitExceeded or CheckpointError.Malformed, $"{what}: {refusal}");
        Assert.True(allocated <= Memory + (16L * file.Length), $"{what}: {allocated:N0} bytes");
    }

    [Fact]
    public void AListOfStridesIsNotQuoted()
    {
        var tensor = Call("torch._utils", "_rebuild_tensor_v2", W, Integer(0), Numbers(4), Tuple(Repeat([(byte)'K', 1], 100_000)), False, OrderedDict);
        var refusal = CheckpointBytes.Refuse(ZipBytes.Checkpoint(Pickle(tensor), ("0", new byte[16])));

        Assert.Equal(CheckpointError.BadTensor, refusal.Error);
        Assert.InRange(refusal.Message.Length, 1, 5000);
    }

    [Fact]
    public void ALongNameIsCutShortInAMessage()
    {
        var refusal = CheckpointBytes.Refuse(ZipBytes.Checkpoint(Pickle(Dict((new string('n', 60_000), W))), ("0", new byte[16])));

        Assert.Equal(60_000, refusal.Tensor!.Length);
        Assert.InRange(refusal.Message.Length, 1, 5000);
        Assert.StartsWith("`nnnn", refusal.Message, StringComparison.Ordinal);
        Assert.EndsWith("in its place.", refusal.Message, StringComparison.Ordinal);
    }

    // One long key over many tensors: each name repeats it.
    [Fact]
    public void NamesAreBoundedInTotal()
    {
        var t = Join(Tensor(W, [4]), Put(0), Pop);
        var inner = DictOf([.. Enumerable.Range(0, 5_000).Select(i => (Integer(i), Get(0)))]);
        var file = ZipBytes.Checkpoint(Pickle(t, Dict((new string('n', 60_000), inner))), ("0", new byte[16]));
        var (allocated, refusal) = CheckpointBytes.Measure(file);

        Assert.Equal(CheckpointError.LimitExceeded, refusal?.Error);
        Assert.InRange(allocated, 0, 400L << 20);
    }

    // Ten containers of ten that lead to 10^30 tensors, values, or nothing but the container itself.
    [Fact]
    public void PathsThroughTheMemoAreCountedNotWalked()
    {
        var self = Join(EmptyDict, Put(0), Text("k"), Get(0), "s"u8.ToArray());
        foreach (var leaf in (byte[][])[Tensor(W, [4]), None, EmptyDict, EmptyList, self])
        {
            foreach (var wrap in (Func<byte[], byte[]>[])[
                part => List([.. Enumerable.Repeat(part, 10)]),
                part => DictOf([.. Enumerable.Range(0, 10).Select(i => (Integer(i), part))]),
            ])
            {
                var pickle = Join(leaf, Put(0), Pop);
                for (var level = 0u; level < 30; level++)
                {
                    pickle = Join(pickle, wrap(Get(level)), Put(level + 1), Pop);
                }

                var limits = new CheckpointLimits { MaxTensors = 10_000, MaxValues = 10_000 };
                var (allocated, refusal) = CheckpointBytes.Measure(ZipBytes.Checkpoint(Pickle(pickle, Get(30)), ("0", new byte[16])), limits);

                Assert.True(refusal is null or { Error: CheckpointError.LimitExceeded }, refusal?.Message);
                Assert.InRange(allocated, 0, 16 << 20);
            }
        }
    }

    [Fact]
    public void ContainersAreBoundedInNumber()
    {
        var file = ZipBytes.Checkpoint(Pickle("]("u8.ToArray(), Repeat(EmptyList, 100_000), "e"u8.ToArray()));
        var (allocated, refusal) = CheckpointBytes.Measure(file, new() { MaxTensors = 1000, MaxValues = 1000 });

        Assert.Equal(CheckpointError.LimitExceeded, refusal?.Error);
        Assert.InRange(allocated, 0, 150L * file.Length);
    }

    // A container that holds itself a thousand times under no name, in a tower of such containers: nothing to list, nothing to name.
    [Fact]
    public void WhatHoldsOnlyItselfIsNotWalkedForLong()
    {
        var self = Enumerable.Repeat((Text(""), Get(0)), 1000);
        List<byte[]> pickle = [EmptyDict, Put(0), "("u8.ToArray(), .. self.SelectMany(item => (byte[][])[item.Item1, item.Item2]), "u"u8.ToArray(), Pop];
        for (var level = 0u; level < 30; level++)
        {
            pickle.AddRange([DictOf([.. Enumerable.Repeat((Text(""), Get(level)), 10)]), Put(level + 1), Pop]);
        }

        var limits = new CheckpointLimits { MaxTotalNameLength = 50_000 };
        var (allocated, refusal) = CheckpointBytes.Measure(ZipBytes.Checkpoint(Pickle([.. pickle, Get(30)])), limits);

        Assert.Equal(CheckpointError.LimitExceeded, refusal?.Error);
        Assert.InRange(allocated, 0, 16 << 20);
    }

    // Containers that all hold each other: 20! paths, of which a count that meets each container once sees few.
    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(20)]
    public void CyclesAreNotWalkedInEveryOrder(int tensors)
    {
        const int Containers = 20;
        var pickle = new List<byte[]> { Tensor(W, [4]), Put(100), Pop };
        for (var i = 0u; i < Containers; i++)
        {
            pickle.AddRange([EmptyDict, Put(i), Pop]);
        }

        for (var i = 0; i < Containers; i++)
        {
            var others = Enumerable.Range(0, Containers).Where(j => j != i).Select(j => (Integer(j), Get((uint)j)));
            var own = i < tensors ? [(Text("w"), Get(100))] : Array.Empty<(byte[], byte[])>();
            var items = others.Concat(own).SelectMany(item => (byte[][])[item.Item1, item.Item2]);
            pickle.AddRange([Get((uint)i), "("u8.ToArray(), .. items, "u"u8.ToArray(), Pop]);
        }

        foreach (var root in (byte[][])[Get(0), Get(19), List(Get(19), Get(0))])
        {
            var limits = new CheckpointLimits { MaxTensors = 10_000, MaxValues = 10_000 };
            var (allocated, refusal) = CheckpointBytes.Measure(ZipBytes.Checkpoint(Pickle([.. pickle, root]), ("0", new byte[16])), limits);

            Assert.True(refusal is null or { Error: CheckpointError.LimitExceeded }, refusal?.Message);
            Assert.InRange(allocated, 0, 64 << 20);
        }
    }

    // A count that first meets a chain inside an object that leads back finds nothing in it.
    [Fact]
    public void WhatWasCountedInsideItselfIsCountedWhenItIsListed()
    {
        var pickle = new List<byte[]> { EmptyDict, Put(0), Pop, Get(0), Put(200), Pop };
        for (var level = 0u; level < 30; level++)
        {
            pickle.AddRange([DictOf([.. Enumerable.Range(0, 10).Select(i => (Integer(i), Get(200 + level)))]), Put(201 + level), Pop]);
        }

        pickle.AddRange([Get(0), Text("o"), Call("a", "B", Get(230)), "s"u8.ToArray(), Text("w"), None, "s"u8.ToArray(), Pop]);
        foreach (var root in (byte[][])[List(Get(0), Get(230)), List(Get(230), Get(0))])
        {
            var limits = new CheckpointLimits { MaxTensors = 10_000, MaxValues = 10_000 };
            var (allocated, refusal) = CheckpointBytes.Measure(ZipBytes.Checkpoint(Pickle([.. pickle, root])), limits);

            Assert.True(refusal is null or { Error: CheckpointError.LimitExceeded }, refusal?.Message);
            Assert.InRange(allocated, 0, 64 << 20);
        }
    }

    // Tensors that differ in a stride that does not matter: comparing each with each would take hours for a million.
    [Fact]
    public void ManyLayoutsAreToldApartByHash()
    {
        var tensors = Enumerable.Range(0, 20_000).Select(i => Tensor(W, [1], [i]));
        var description = CheckpointBytes.Describe(ZipBytes.Checkpoint(Pickle(List([.. tensors])), ("0", new byte[16])));

        Assert.Equal(20_000, description.Tensors.Length);
    }

    [Fact]
    public void AStorageKeyIsShort()
    {
        var key = new string('7', 60_000);
        var tensors = Repeat(Join(Get(0), Get(1), "R"u8.ToArray()), 10_000);
        var pickle = Pickle(
            Global("torch._utils", "_rebuild_tensor_v2"), Put(0), Pop, Tuple(Storage(key, 4), Integer(0), Numbers(4), Numbers(1)), Put(1), Pop,
            "("u8.ToArray(), tensors, "l"u8.ToArray());
        var (allocated, refusal) = CheckpointBytes.Measure(ZipBytes.Checkpoint(pickle, (key, new byte[16])));

        Assert.Equal(CheckpointError.Malformed, refusal?.Error);
        Assert.InRange(allocated, 0, 16 << 20);
    }

    // Whoever reads the ranges makes room for them.
    [Fact]
    public void NoRangeIsWantedThatTheLimitsForbid()
    {
        var pickle = Pickle(Dict(("w", Tensor(W, [4]))));
        ZipBytesEntry[] good = [.. ZipBytes.CheckpointEntries(pickle, ("0", new byte[16]))];
        var (large, small) = (new byte[4 << 20], (uint)pickle.Length);
        foreach (var zip in (ZipBytes[])[
            new([.. good, new("archive/byteorder", large)]),
            new([.. good, new("archive/byteorder", large) { Size = 6 }]),
            new([good[0] with { Content = large, Size = small }, .. good[1..]]),
            new([good[0] with { Content = large, Size = small, Method = 8 }, .. good[1..]]),
            new([good[0] with { Content = large }, .. good[1..]]),
            new([.. good, .. Enumerable.Range(0, 30_000).Select(i => new ZipBytesEntry($"archive/{i}", []))]),
        ])
        {
            var file = zip.ToArray();
            var limits = new CheckpointLimits { MaxPickleBytes = 1 << 20, MaxDirectoryBytes = 1 << 20 };
            var parser = new CheckpointParser(file.Length, limits);

            Assert.Throws<CheckpointFormatException>(() =>
            {
                while (!parser.Wanted.IsEmpty)
                {
                    Assert.InRange(parser.Wanted.Sum(range => range.Length), 1, (1 << 20) + (128 << 10));
                    parser.Supply([.. parser.Wanted.Select(range => (ReadOnlyMemory<byte>)file.AsMemory((int)range.Offset, (int)range.Length))]);
                }
            });
        }
    }

    [Fact]
    public void ALargeDirectoryCostsItsOwnSize()
    {
        ZipBytesEntry[] entries = [.. ZipBytes.CheckpointEntries(Pickle(EmptyDict)), .. Enumerable.Range(0, 20_000).Select(i => new ZipBytesEntry($"archive/{i}", []))];
        var file = new ZipBytes(entries).ToArray();
        var (allocated, refusal) = CheckpointBytes.Measure(file);

        Assert.Null(refusal);
        Assert.InRange(allocated, 0, 8L * file.Length);
    }

    [Fact]
    public void ALongTextIsRefusedBeforeItIsWritten()
    {
        var file = ZipBytes.Checkpoint(Pickle(Dict(("v", Text(new string('\u0001', 1 << 20))))));
        var (allocated, refusal) = CheckpointBytes.Measure(file, new() { MaxValueBytes = 1000 });

        Assert.Equal(CheckpointError.LimitExceeded, refusal?.Error);
        Assert.InRange(allocated, 0, 4L * file.Length);
    }

    private static byte[] Again(byte[] large, byte[] callable, byte[] call) => Pickle(
        large, Put(0), Pop, callable, Put(1), Pop, "("u8.ToArray(), Repeat(Join(Get(1), Get(0), call), 2_000), "l"u8.ToArray());
}
