namespace CloudShards;

/// <summary>
/// A bounded amount of memory, lent in contiguous pieces of any length, so that all writers together stay within it. Who finds no room waits, first
/// come, first served. The memory is made when first needed, and kept until it is let go of; only the pages of it that were written are resident.
/// </summary>
/// <param name="bytes">All of it, and so the longest piece.</param>
internal sealed class BufferPool(int bytes)
{
    private readonly Lock _turn = new();
    private readonly LinkedList<Lease> _waiting = [];

    // In the order of their places.
    private readonly LinkedList<Lease> _lent = [];
    private byte[]? _memory;

    /// <summary>The longest piece that there is.</summary>
    public int Bytes => bytes;

    /// <summary>Waits for a piece; disposing the result gives it back. Who has one must not wait for another.</summary>
    public async ValueTask<Lease> RentAsync(int length, CancellationToken cancellationToken)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(length, bytes);
        var lease = Ask(length);
        try
        {
            await lease.Granted.WaitAsync(cancellationToken).ConfigureAwait(false);
            return lease;
        }
        catch (OperationCanceledException)
        {
            lease.Dispose();
            throw;
        }
    }

    /// <summary>Lets go of the memory, unless some of it is lent.</summary>
    public void Release()
    {
        lock (_turn)
        {
            _memory = _lent.Count == 0 ? null : _memory;
        }
    }

    private Lease Ask(int length)
    {
        lock (_turn)
        {
            _memory ??= GC.AllocateUninitializedArray<byte>(bytes);
            var lease = new Lease(this, length);
            _waiting.AddLast(lease);
            Admit();
            return lease;
        }
    }

    private void GiveBack(Lease lease)
    {
        lock (_turn)
        {
            if (_lent.Remove(lease) || _waiting.Remove(lease))
            {
                Admit();
            }
        }
    }

    private void Admit()
    {
        while (_waiting.First is { Value: var lease } && TryPlace(lease))
        {
            _waiting.RemoveFirst();
            lease.Granted.Release();
        }
    }

    // The first gap that is long enough: what was used before is resident already.
    private bool TryPlace(Lease lease)
    {
        var (at, next) = (0, _lent.First);
        for (; next is not null && next.Value.Offset - at < lease.Length; next = next.Next)
        {
            at = next.Value.Offset + next.Value.Length;
        }

        if (bytes - at < lease.Length)
        {
            return false;
        }

        lease.Place(at, _memory!);
        _ = next is null ? _lent.AddLast(lease) : _lent.AddBefore(next, lease);
        return true;
    }

    /// <summary>A piece that is in use.</summary>
    internal sealed class Lease(BufferPool pool, int length) : IDisposable
    {
        public int Length => length;

        public int Offset { get; private set; }

        public Memory<byte> Memory { get; private set; }

        /// <summary>To be waited for once.</summary>
        public SemaphoreSlim Granted { get; } = new(0, 1);

        public void Place(int offset, byte[] memory) => (Offset, Memory) = (offset, memory.AsMemory(offset, length));

        public void Dispose() => pool.GiveBack(this);
    }
}
