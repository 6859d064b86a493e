using System.Buffers;
using System.Runtime.InteropServices;
using CloudShards.Formats;

namespace CloudShards.Benchmarks;

/// <summary>Memory as a model has it: outside the managed heap, every page touched before the clock starts.</summary>
internal sealed unsafe class NativeBytes : MemoryManager<byte>
{
    private readonly int _length;
    private byte* _start;

    public NativeBytes(long length)
    {
        _length = checked((int)length);
        _start = (byte*)NativeMemory.Alloc((nuint)Math.Max(1, length));
        GetSpan().Fill(1);
    }

    /// <summary>Memory for each of a checkpoint's tensors.</summary>
    public static Dictionary<string, Memory<byte>> For(IEnumerable<ShardedTensor> tensors) =>
        tensors.ToDictionary(tensor => tensor.Name, tensor => new NativeBytes(tensor.Bytes).Memory, StringComparer.Ordinal);

    public override Span<byte> GetSpan() => new(_start, _length);

    public override MemoryHandle Pin(int elementIndex = 0) => new(_start + elementIndex, pinnable: this);

    public override void Unpin()
    {
    }

    // The process ends with its one contender; until then nothing is freed.
    protected override void Dispose(bool disposing) => _start = null;
}
