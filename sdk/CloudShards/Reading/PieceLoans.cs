using System.Buffers;
using System.Collections.Concurrent;

namespace CloudShards;

/// <summary>
/// The memory that one call has on loan for pieces on their way to a <see cref="ShardTarget"/>. It has a bound, and is given to pieces in
/// the order in which they were planned: a piece may wait, to be hashed, for those before it, so these must never wait for its memory.
/// What is open when the call ends is disposed of.
/// </summary>
internal sealed class PieceLoans(long maxBytes) : IDisposable
{
    private readonly Lock _turn = new();
    private readonly Queue<Ticket> _waiting = [];
    private readonly ConcurrentDictionary<Piece, bool> _open = [];
    private long _bytes;

    /// <summary>Puts a piece in the queue.</summary>
    public Ticket Ask(long bytes)
    {
        var ticket = new Ticket(bytes);
        lock (_turn)
        {
            _waiting.Enqueue(ticket);
            Admit();
        }

        return ticket;
    }

    /// <summary>Opens a piece of a target, whose turn it is; disposing the result gives it back.</summary>
    public Piece Open(ShardTarget target, long offset, int length, Ticket? ticket)
    {
        var piece = new Piece(this, target.Open(offset, length), ticket?.Bytes ?? 0);
        _open.TryAdd(piece, true);
        return piece;
    }

    public void Dispose()
    {
        foreach (var piece in _open.Keys)
        {
            piece.Dispose();
        }
    }

    private void Admit()
    {
        while (_waiting.TryPeek(out var ticket) && (_bytes == 0 || _bytes + ticket.Bytes <= maxBytes))
        {
            _waiting.Dequeue();
            _bytes += ticket.Bytes;
            ticket.Granted.Release();
        }
    }

    private void Close(Piece piece, long bytes)
    {
        _open.TryRemove(piece, out _);
        lock (_turn)
        {
            _bytes -= bytes;
            Admit();
        }
    }

    /// <summary>A piece's place in the queue.</summary>
    internal sealed class Ticket(long bytes)
    {
        /// <summary>Bytes of the piece.</summary>
        public long Bytes => bytes;

        /// <summary>To be waited for once.</summary>
        public SemaphoreSlim Granted { get; } = new(0, 1);
    }

    /// <summary>A piece that is open.</summary>
    internal sealed class Piece(PieceLoans loans, IMemoryOwner<byte> owner, long bytes) : IDisposable
    {
        private int _isClosed;

        /// <summary>What the target gave.</summary>
        public IMemoryOwner<byte> Owner => owner;

        public void Dispose()
        {
            if (Interlocked.Exchange(ref _isClosed, 1) == 0)
            {
                owner.Dispose();
                loans.Close(this, bytes);
            }
        }
    }
}
