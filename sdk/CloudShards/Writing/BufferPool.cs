using System.Collections.Concurrent;
using System.Diagnostics.CodeAnalysis;

namespace CloudShards;

/// <summary>
/// A fixed number of buffers of one size, so that the memory of all writers together has a bound: <c>count * bytes</c>, kept until the pool
/// is collected. Who finds none free waits. A buffer is made when first needed, and of a new one only the pages that are written take
/// memory.
/// </summary>
[SuppressMessage("Design", "CA1001", Justification = "A semaphore whose wait handle is never taken holds nothing to free.")]
internal sealed class BufferPool(int bytes, int count)
{
    private readonly SemaphoreSlim _free = new(count, count);
    private readonly ConcurrentBag<byte[]> _idle = [];

    /// <summary>Waits for a buffer; disposing the result gives it back.</summary>
    public async ValueTask<Lease> RentAsync(CancellationToken cancellationToken)
    {
        await _free.WaitAsync(cancellationToken).ConfigureAwait(false);
        try
        {
            return new(this, _idle.TryTake(out var idle) ? idle : GC.AllocateUninitializedArray<byte>(bytes));
        }
        catch (OutOfMemoryException)
        {
            // Nobody has the buffer, so nobody would give it back.
            _free.Release();
            throw;
        }
    }

    /// <summary>Lets go of the buffers that nobody uses.</summary>
    public void Release() => _idle.Clear();

    /// <summary>A buffer that is in use.</summary>
    internal readonly struct Lease(BufferPool pool, byte[] buffer) : IDisposable
    {
        public Memory<byte> Memory => buffer;

        public void Dispose()
        {
            pool._idle.Add(buffer);
            pool._free.Release();
        }
    }
}
