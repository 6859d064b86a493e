using System.Buffers;
using System.Collections.Concurrent;
using CloudShards.Formats;

namespace CloudShards.Tests;

/// <summary>A target in managed memory that notes what is done with its pieces.</summary>
internal sealed class PiecewiseTarget(ShardedTensor tensor, bool isStaged, byte[]? content = null) : ShardTarget(tensor)
{
    private long _openBytes;
    private int _open;

    /// <summary>What was settled.</summary>
    public byte[] Content { get; } = content ?? new byte[tensor.Bytes];

    /// <summary>The offsets of settled pieces, in the order in which they were.</summary>
    public ConcurrentQueue<long> Settled { get; } = [];

    /// <summary>Called before a piece is settled.</summary>
    public Action<long> Settling { get; set; } = _ => { };

    /// <summary>Pieces that are open.</summary>
    public int OpenPieces => _open;

    /// <summary>The most bytes that were open at once.</summary>
    public long MostOpenBytes { get; private set; }

    public override bool IsStaged => isStaged;

    public override IMemoryOwner<byte> Open(long offset, int length)
    {
        lock (Settled)
        {
            _open++;
            _openBytes += length;
            MostOpenBytes = Math.Max(MostOpenBytes, _openBytes);
        }

        return new Piece(this, isStaged ? new byte[length] : Content.AsMemory((int)offset, length));
    }

    public override void Settle(long offset, IMemoryOwner<byte> piece)
    {
        Settling(offset);
        piece.Memory.CopyTo(Content.AsMemory((int)(offset % Math.Max(1, Content.Length))));
        Settled.Enqueue(offset);
    }

    private void Close(Memory<byte> memory)
    {
        lock (Settled)
        {
            _open--;
            _openBytes -= memory.Length;
        }

        if (isStaged)
        {
            // Whoever still reads it, to hash it, finds other bytes.
            memory.Span.Fill(0xEE);
        }
    }

    private sealed class Piece(PiecewiseTarget target, Memory<byte> memory) : IMemoryOwner<byte>
    {
        private int _isClosed;

        public Memory<byte> Memory => _isClosed == 0 ? memory : throw new ObjectDisposedException(nameof(Piece));

        public void Dispose()
        {
            Assert.Equal(0, Interlocked.Exchange(ref _isClosed, 1));
            target.Close(memory);
        }
    }
}
