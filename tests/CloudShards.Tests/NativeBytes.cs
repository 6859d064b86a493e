using System.Buffers;
using System.Runtime.InteropServices;

namespace CloudShards.Tests;

/// <summary>Memory outside the managed heap, as a tensor's is.</summary>
public sealed unsafe class NativeBytes(int length) : MemoryManager<byte>
{
    private void* _memory = NativeMemory.AllocZeroed((nuint)length);

    public override Span<byte> GetSpan() => new(_memory, length);

    public override MemoryHandle Pin(int elementIndex = 0) => new((byte*)_memory + elementIndex);

    public override void Unpin()
    {
    }

    protected override void Dispose(bool disposing)
    {
        NativeMemory.Free(_memory);
        _memory = null;
    }
}
