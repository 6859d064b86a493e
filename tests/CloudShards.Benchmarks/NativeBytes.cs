using System.Buffers;
using System.Runtime.InteropServices;
using CloudShards.Formats;

namespace CloudShards.Benchmarks;

/// <summary>
/// Memory as a model has it: outside the managed heap, of any length. Every page is touched before the clock starts, unless somebody
/// wants to measure that. It is made by one thread, and freed all at once.
/// </summary>
internal sealed unsafe partial class NativeBytes
{
    // Whole chunks, so that a tensor that is read window by window is verified.
    private const int WindowBytes = 1 << 30;

    private static readonly Stack<nint> Allocated = [];

    private readonly byte* _start;

    public NativeBytes(long length, bool isTouched = true)
    {
        Length = length;
        _start = (byte*)NativeMemory.Alloc((nuint)Math.Max(1, length));
        Allocated.Push((nint)_start);
        foreach (var (_, window) in isTouched ? Cut() : [])
        {
            Touch(window.Span);
        }
    }

    public long Length { get; }

    /// <summary>Frees all that there is, once nobody uses any of it: what a warm-up needed is not to be counted as the run's.</summary>
    public static void FreeAll()
    {
        while (Allocated.TryPop(out var start))
        {
            NativeMemory.Free((void*)start);
        }

        // The C library keeps what is freed, for the thread that had it.
        if (OperatingSystem.IsLinux())
        {
            _ = Trim(0);
        }
    }

    /// <summary>
    /// Touches memory as a reader will: by the program and by the kernel. On some virtual machines the first write of each to a page costs
    /// seconds per GiB, whatever the other has written before.
    /// </summary>
    public static void Touch(Span<byte> memory)
    {
        memory.Fill(1);
        if (OperatingSystem.IsLinux())
        {
            using var zeros = File.OpenHandle("/dev/zero");
            while (!memory.IsEmpty)
            {
                memory = memory[RandomAccess.Read(zeros, memory, 0)..];
            }
        }
    }

    /// <summary>Memory for each of a checkpoint's tensors.</summary>
    public static Dictionary<string, NativeBytes> For(IEnumerable<ShardedTensor> tensors, bool isTouched = true) =>
        tensors.ToDictionary(tensor => tensor.Name, tensor => new NativeBytes(tensor.Bytes, isTouched), StringComparer.Ordinal);

    /// <summary>A part of it.</summary>
    public Memory<byte> Slice(long offset, int length) => new Window(_start + offset, length).Memory;

    /// <summary>All of it, in windows of at most so many bytes.</summary>
    public IEnumerable<(long Offset, Memory<byte> Window)> Cut(long windowBytes = WindowBytes)
    {
        for (long offset = 0; offset < Length; offset += windowBytes)
        {
            yield return (offset, Slice(offset, (int)Math.Min(windowBytes, Length - offset)));
        }
    }

    [LibraryImport("libc", EntryPoint = "malloc_trim")]
    private static partial int Trim(nuint kept);

    private sealed class Window(byte* start, int length) : MemoryManager<byte>
    {
        public override Span<byte> GetSpan() => new(start, length);

        public override MemoryHandle Pin(int elementIndex = 0) => new(start + elementIndex, pinnable: this);

        public override void Unpin()
        {
        }

        protected override void Dispose(bool disposing)
        {
        }
    }
}
