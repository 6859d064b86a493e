using System.Buffers;
using System.Text.Json;
using CloudShards.Formats;
using Microsoft.Extensions.Time.Testing;

namespace CloudShards.Tests;

public sealed class CheckpointWriterTests : IDisposable
{
    private static readonly byte[] Twelve = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12];

    private readonly TemporaryFolder _folder = new();
    private readonly FakeTimeProvider _clock = new(new(2026, 11, 5, 0, 0, 0, TimeSpan.Zero));
    private readonly RecordingStore _store;

    public CheckpointWriterTests() => _store = new(new DirectoryShardStore(_folder.Path));

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public void Dispose() => _folder.Dispose();

    [Fact]
    public async Task WhatIsPublishedReadsBack()
    {
        var writer = Writer(new()
        {
            ChunkBytes = 5,
            Metadata = new Dictionary<string, string> { ["b"] = "2", ["a"] = "1" },
            Values = JsonElement.Parse("""{"epoch":3}"""),
        });
        await writer.WriteTensorAsync("b", TensorDType.F32, [3], Twelve, Token);
        await writer.WriteTensorFromAsync("a", TensorDType.U8, [2, 6], (offset, destination, _) =>
        {
            Twelve.AsMemory((int)offset, destination.Length).CopyTo(destination);
            return ValueTask.CompletedTask;
        }, Token);
        await writer.WriteTensorAsync("none", TensorDType.F32, [0], ReadOnlyMemory<byte>.Empty, Token);

        var reference = await writer.PublishAsync(cancellationToken: Token);

        await using var checkpoint = await ShardedCheckpoint.OpenFromAsync(_store, "net", cancellationToken: Token);
        Assert.Equal(reference, checkpoint.Reference);
        Assert.Equal(["b", "a", "none"], checkpoint.Tensors.Select(tensor => tensor.Name));
        Assert.Equal(["a", "b"], checkpoint.Manifest.Metadata.Keys);
        Assert.Equal("""{"epoch":3}""", checkpoint.Manifest.Values.GetRawText());
        Assert.Equal(checkpoint["a"].Digest, checkpoint["b"].Digest);
        var read = new byte[12];
        await checkpoint.ReadAsync("a", read, Token);
        Assert.Equal(Twelve, read);
    }

    [Fact]
    public async Task NothingIsVisibleBeforePublishingAndTheManifestPrecedesTheTag()
    {
        var writer = Writer();
        await writer.WriteTensorAsync("a", TensorDType.U8, [12], Twelve, Token);
        await Assert.ThrowsAsync<CheckpointNotFoundException>(() => ShardedCheckpoint.OpenFromAsync(_store, "net", cancellationToken: Token));
        _store.Requests.Clear();

        var reference = await writer.PublishAsync("v1", Token);

        var manifest = StoreLayout.Manifest("net", reference.Digest!.Value);
        var tag = StoreLayout.Tag("net", "v1");
        Assert.Equal([$"create {manifest}", $"length {manifest}", $"document {tag}", $"replace {tag}"], _store.Requests);
        var moved = await new CheckpointTags(_store).TryReadAsync(CheckpointReference.Parse("net:v1"), Token);
        Assert.Equal((reference.Digest.Value, _clock.GetUtcNow()), (moved!.Digest, moved.MovedAt));
        Assert.Empty(moved.Source);
    }

    [Fact]
    public async Task TheSameTensorsGiveTheSameManifest()
    {
        var references = new List<CheckpointReference>();
        for (var i = 0; i < 2; i++)
        {
            var writer = Writer();
            await writer.WriteTensorAsync("a", TensorDType.U8, [12], Twelve, Token);
            references.Add(await writer.PublishAsync(cancellationToken: Token));
            _clock.Advance(TimeSpan.FromDays(1));
        }

        Assert.Equal(references[0], references[1]);
    }

    [Fact]
    public async Task TensorsWrittenAtOnceKeepTheOrderOfTheirCalls()
    {
        var writer = Writer();
        var gates = Enumerable.Range(0, 4).Select(_ => new TaskCompletionSource()).ToArray();
        var writes = gates
            .Select((gate, i) => writer.WriteTensorFromAsync($"t{i}", TensorDType.U8, [1], async (_, _, _) => await gate.Task, Token))
            .ToArray();

        foreach (var gate in gates.Reverse())
        {
            gate.SetResult();
        }

        await Task.WhenAll(writes);
        var reference = await writer.PublishAsync(cancellationToken: Token);
        await using var checkpoint = await ShardedCheckpoint.OpenFromAsync(_store, reference.ToString(), cancellationToken: Token);
        Assert.Equal(["t0", "t1", "t2", "t3"], checkpoint.Tensors.Select(tensor => tensor.Name));
    }

    [Fact]
    public async Task NobodyWaitsForTheHashOfAnotherTensor()
    {
        var writer = Writer();
        using var first = new SlowBytes(Twelve);

        var writing = writer.WriteTensorAsync("first", TensorDType.U8, [12], first.Memory, Token);
        await writer.WriteTensorAsync("second", TensorDType.U8, [12], Twelve, Token).WaitAsync(TimeSpan.FromSeconds(30), Token);
        Assert.False(writing.IsCompleted);
        first.Gate.Set();
        await writing;

        var reference = await writer.PublishAsync(cancellationToken: Token);
        await using var checkpoint = await ShardedCheckpoint.OpenFromAsync(_store, reference.ToString(), cancellationToken: Token);
        Assert.Equal(["first", "second"], checkpoint.Tensors.Select(tensor => tensor.Name));
    }

    [Fact]
    public async Task CancellingEndsTheHashOfALongTensor()
    {
        using var source = CancellationTokenSource.CreateLinkedTokenSource(Token);
        using var content = new SlowBytes(new byte[40 << 20]);

        var writing = Writer().WriteTensorAsync("a", TensorDType.U8, [40 << 20], content.Memory, source.Token);
        Assert.True(content.Asked.Wait(TimeSpan.FromSeconds(30), Token));
        await source.CancelAsync();
        content.Gate.Set();

        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => writing);
        Assert.Equal(1, content.Spans);
        Assert.Empty(_store.Requests);
    }

    [Fact]
    public async Task ANameIsWrittenOnce()
    {
        var writer = Writer();
        await writer.WriteTensorAsync("a", TensorDType.U8, [12], Twelve, Token);

        var twice = await Assert.ThrowsAsync<ArgumentException>(() => writer.WriteTensorAsync("a", TensorDType.U8, [12], Twelve, Token));

        Assert.Contains("`a`", twice.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task AWriteThatFailedCanBeRepeated()
    {
        var writer = Writer();
        await Assert.ThrowsAsync<TimeoutException>(
            () => writer.WriteTensorFromAsync("a", TensorDType.U8, [12], (_, _, _) => throw new TimeoutException(), Token));

        await writer.WriteTensorAsync("a", TensorDType.U8, [12], Twelve, Token);
        await writer.PublishAsync(cancellationToken: Token);
    }

    [Fact]
    public async Task NothingIsPublishedWhileATensorIsBeingWritten()
    {
        var writer = Writer();
        var gate = new TaskCompletionSource();
        var writing = writer.WriteTensorFromAsync("a", TensorDType.U8, [12], async (_, _, _) => await gate.Task, Token);

        var early = await Assert.ThrowsAsync<InvalidOperationException>(() => writer.PublishAsync(cancellationToken: Token));
        gate.SetResult();
        await writing;

        Assert.Contains("`a` is still being written", early.Message, StringComparison.Ordinal);
        await writer.PublishAsync(cancellationToken: Token);
    }

    [Theory]
    [InlineData(TensorDType.F32, 4)]
    [InlineData(TensorDType.F32, 2)]
    [InlineData(TensorDType.F4, 23)]
    [InlineData(TensorDType.F4, 25)]
    public async Task ContentMustFitDTypeAndShape(TensorDType dtype, long size)
    {
        var refused = await Assert.ThrowsAsync<ArgumentException>(() => Writer().WriteTensorAsync("a", dtype, [size], Twelve, Token));

        Assert.Contains("`a`", refused.Message, StringComparison.Ordinal);
        Assert.Empty(_store.Requests);
    }

    [Theory]
    [InlineData("")]
    [InlineData("a b")]
    [InlineData("a/tags")]
    public void AnInvalidNameIsRefused(string name) => Assert.Throws<FormatException>(() => new CheckpointWriter(_store, name));

    [Fact]
    public async Task AnInvalidTagIsRefusedBeforeAnythingIsWritten()
    {
        await Assert.ThrowsAsync<FormatException>(() => Writer().PublishAsync("a/b", Token));

        Assert.Empty(_store.Requests);
    }

    [Fact]
    public void ValuesMustBeAnObject() =>
        Assert.Throws<ArgumentException>(() => new CheckpointWriterOptions { Values = JsonElement.Parse("[1]") });

    [Theory]
    [InlineData(0)]
    [InlineData((64 << 20) + 1)]
    public void AChunkHasBytesAndNoMoreThanReadersTake(int bytes) =>
        Assert.Throws<ArgumentOutOfRangeException>(() => new CheckpointWriterOptions { ChunkBytes = bytes });

    [Fact]
    public async Task ACancelledTokenEndsEveryCall()
    {
        var writer = Writer();
        var stop = new CancellationToken(canceled: true);

        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => writer.WriteTensorAsync("a", TensorDType.U8, [12], Twelve, stop));
        await Assert.ThrowsAnyAsync<OperationCanceledException>(
            () => writer.WriteTensorFromAsync("a", TensorDType.U8, [12], (_, _, _) => ValueTask.CompletedTask, stop));
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => writer.PublishAsync(cancellationToken: stop));
    }

    private CheckpointWriter Writer(CheckpointWriterOptions? options = null) =>
        new(_store, "net", (options ?? new()) with { TimeProvider = _clock });

    /// <summary>Memory that nobody can read before it is let.</summary>
    private sealed class SlowBytes(byte[] content) : MemoryManager<byte>
    {
        public ManualResetEventSlim Asked { get; } = new();

        public ManualResetEventSlim Gate { get; } = new();

        /// <summary>How often its bytes were asked for.</summary>
        public int Spans { get; private set; }

        public override Memory<byte> Memory => CreateMemory(content.Length);

        public override Span<byte> GetSpan()
        {
            Spans++;
            Asked.Set();
            Assert.True(Gate.Wait(TimeSpan.FromSeconds(30)));
            return content;
        }

        public override MemoryHandle Pin(int elementIndex = 0) => throw new NotSupportedException();

        public override void Unpin()
        {
        }

        protected override void Dispose(bool disposing)
        {
            Asked.Dispose();
            Gate.Dispose();
        }
    }
}
