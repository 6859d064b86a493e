using System.Buffers;
using System.Buffers.Binary;
using System.Collections.Immutable;
using System.IO.Compression;
using System.Text.Json;
using CloudShards.Formats;

namespace CloudShards.Testing;

/// <summary>A tensor to make.</summary>
/// <param name="Name">Any text; unique within the checkpoint.</param>
/// <param name="DType">The type of its elements.</param>
/// <param name="Shape">Its sizes.</param>
public sealed record SyntheticTensor(string Name, TensorDType DType, TensorShape Shape)
{
    /// <summary>Bytes of the contiguous tensor.</summary>
    public long Bytes => Shape.ByteCount(DType);
}

/// <summary>
/// A checkpoint of any size, made of pseudo-random bytes that depend on the seed, the tensor and the position alone: any part of any
/// tensor can be made again to compare with, and nothing holds a tensor in memory.
/// </summary>
/// <param name="tensors">The tensors, in order.</param>
/// <param name="seed">Another seed gives other bytes.</param>
public sealed class SyntheticCheckpoint(ImmutableArray<SyntheticTensor> tensors, int seed = 0)
{
    private const int BufferBytes = 1 << 20;
    private const int WordBytes = sizeof(ulong);

    /// <summary>The tensors, in order.</summary>
    public ImmutableArray<SyntheticTensor> Tensors { get; } = tensors;

    /// <summary>Bytes of all tensors.</summary>
    public long TensorBytes => Tensors.Sum(tensor => tensor.Bytes);

    /// <summary>Makes the bytes of a tensor from byte <paramref name="offset"/> on.</summary>
    /// <param name="tensor">Index into <see cref="Tensors"/>.</param>
    /// <param name="offset">The first byte; never negative.</param>
    /// <param name="destination">Filled whole.</param>
    public void Fill(int tensor, long offset, Span<byte> destination)
    {
        // Any byte but 0 and 1 in a Boolean is undefined behaviour in PyTorch.
        var mask = Tensors[tensor].DType == TensorDType.Bool ? 0x0101_0101_0101_0101UL : ulong.MaxValue;
        var start = Mix(((ulong)(uint)seed << 32) | (uint)tensor);
        var word = start + (ulong)(offset / WordBytes);
        var skipped = (int)(offset % WordBytes);
        if (skipped != 0)
        {
            destination = destination[FillPart(Mix(word++) & mask, skipped, destination)..];
        }

        for (; destination.Length >= WordBytes; destination = destination[WordBytes..])
        {
            BinaryPrimitives.WriteUInt64LittleEndian(destination, Mix(word++) & mask);
        }

        FillPart(Mix(word) & mask, 0, destination);
    }

    /// <summary>Writes a safetensors file.</summary>
    public async Task WriteSafetensorsAsync(Stream output, CancellationToken cancellationToken)
    {
        await output.WriteAsync(SafetensorsHeader(), cancellationToken);
        for (var tensor = 0; tensor < Tensors.Length; tensor++)
        {
            await WriteTensorAsync(tensor, output, cancellationToken);
        }
    }

    /// <summary>Writes the file that <c>torch.save</c> writes for a state dict, with a TorchStorage for each tensor.</summary>
    /// <exception cref="ArgumentException">A tensor's dtype is none of F64, F32, F16, BF16, I64, I32, I16, I8, U8, BOOL.</exception>
    public async Task WriteTorchZipAsync(Stream output, CancellationToken cancellationToken)
    {
        await using var zip = await ZipArchive.CreateAsync(
            output, ZipArchiveMode.Create, leaveOpen: true, entryNameEncoding: null, cancellationToken);
        await WriteEntryAsync("data.pkl", entry => entry.WriteAsync(StateDictPickle.Write(Tensors), cancellationToken).AsTask());
        for (var tensor = 0; tensor < Tensors.Length; tensor++)
        {
            var index = tensor;
            await WriteEntryAsync($"data/{index}", entry => WriteTensorAsync(index, entry, cancellationToken));
        }

        await WriteEntryAsync("version", entry => entry.WriteAsync("3\n"u8.ToArray(), cancellationToken).AsTask());

        async Task WriteEntryAsync(string name, Func<Stream, Task> write)
        {
            await using var entry = await zip.CreateEntry($"archive/{name}", CompressionLevel.NoCompression).OpenAsync(cancellationToken);
            await write(entry);
        }
    }

    // SplitMix64: each input gives an output of its own, so that a position needs no generator run up to it.
    private static ulong Mix(ulong value)
    {
        value = (value + 1) * 0x9E37_79B9_7F4A_7C15;
        value = (value ^ (value >> 30)) * 0xBF58_476D_1CE4_E5B9;
        value = (value ^ (value >> 27)) * 0x94D0_49BB_1331_11EB;
        return value ^ (value >> 31);
    }

    private static int FillPart(ulong word, int skipped, Span<byte> destination)
    {
        Span<byte> bytes = stackalloc byte[WordBytes];
        BinaryPrimitives.WriteUInt64LittleEndian(bytes, word);
        var length = Math.Min(WordBytes - skipped, destination.Length);
        bytes.Slice(skipped, length).CopyTo(destination);
        return length;
    }

    private async Task WriteTensorAsync(int tensor, Stream output, CancellationToken cancellationToken)
    {
        var buffer = ArrayPool<byte>.Shared.Rent(BufferBytes);
        try
        {
            var bytes = Tensors[tensor].Bytes;
            for (long offset = 0; offset < bytes; offset += buffer.Length)
            {
                var part = buffer.AsMemory(0, (int)Math.Min(buffer.Length, bytes - offset));
                Fill(tensor, offset, part.Span);
                await output.WriteAsync(part, cancellationToken);
            }
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
    }

    private ReadOnlyMemory<byte> SafetensorsHeader()
    {
        var header = new ArrayBufferWriter<byte>();
        header.GetSpan(WordBytes)[..WordBytes].Clear();
        header.Advance(WordBytes);
        using (var json = new Utf8JsonWriter(header))
        {
            json.WriteStartObject();
            json.WriteStartObject("__metadata__");
            json.WriteString("format", "pt");
            json.WriteEndObject();
            long offset = 0;
            foreach (var tensor in Tensors)
            {
                WriteHeaderEntry(json, tensor, offset);
                offset += tensor.Bytes;
            }

            json.WriteEndObject();
        }

        // Spaces bring the first tensor to a multiple of 8.
        while (header.WrittenCount % WordBytes != 0)
        {
            header.Write(" "u8);
        }

        var bytes = header.WrittenMemory.ToArray();
        BinaryPrimitives.WriteInt64LittleEndian(bytes, bytes.Length - WordBytes);
        return bytes;
    }

    private static void WriteHeaderEntry(Utf8JsonWriter json, SyntheticTensor tensor, long offset)
    {
        json.WriteStartObject(tensor.Name);
        json.WriteString("dtype", tensor.DType.Name());
        json.WriteStartArray("shape");
        foreach (var size in tensor.Shape)
        {
            json.WriteNumberValue(size);
        }

        json.WriteEndArray();
        json.WriteStartArray("data_offsets");
        json.WriteNumberValue(offset);
        json.WriteNumberValue(offset + tensor.Bytes);
        json.WriteEndArray();
        json.WriteEndObject();
    }
}
