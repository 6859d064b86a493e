using System.Collections.Immutable;
using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using CloudShards.Formats;
using CloudShards.Testing;

namespace CloudShards.Benchmarks;

/// <summary>The parsers on an index as large as the largest published checkpoints have, beside <see cref="JsonDocument"/> on the same JSON.</summary>
internal static class Parsing
{
    private const int HeaderStart = 8;

    // As the pipeline makes them.
    private const int TensorsPerPack = 1024;

    public static async Task RunAsync(int tensors, int rounds, TextWriter output, CancellationToken cancellationToken)
    {
        var model = new SyntheticCheckpoint([.. Names().Take(tensors).Select(name => new SyntheticTensor(name, TensorDType.BF16, new([2, 2])))]);
        var safetensors = await FileOf(model.WriteSafetensorsAsync, cancellationToken);
        var zip = await FileOf(model.WriteTorchZipAsync, cancellationToken);
        var header = safetensors.AsMemory(HeaderStart, (int)BitConverter.ToInt64(safetensors));
        var manifest = Manifest(model, safetensors);
        var plain = manifest.ToUtf8();
        var packed = (manifest with { Packs = PacksOf(manifest.Tensors) }).ToUtf8();

        await output.WriteLineAsync(
            $"{tensors:N0} tensors, {rounds} rounds; the header has {header.Length / 1e6:N1} MB, the manifest {plain.Length / 1e6:N1} MB "
            + $"or with packs {packed.Length / 1e6:N1} MB, the zip {zip.Length / 1e6:N1} MB");
        await output.WriteLineAsync($"{"",-34} {"ms",8} {"of JsonDocument",16} {"bytes a tensor",15}");
        await CompareAsync(output, rounds, tensors, "the safetensors header", () => JsonDocument.Parse(header).Dispose(), () => Describe(safetensors));
        await CompareAsync(output, rounds, tensors, "the manifest", () => JsonDocument.Parse(plain).Dispose(), () => ShardManifest.Parse(plain));
        await CompareAsync(output, rounds, tensors, "the manifest, all in packs", () => JsonDocument.Parse(packed).Dispose(), () => ShardManifest.Parse(packed));
        await CompareAsync(output, rounds, tensors, "the PyTorch zip (to the header)", () => JsonDocument.Parse(header).Dispose(), () => Describe(zip));
    }

    // The names of a mixture of experts: long, and alike.
    private static IEnumerable<string> Names() =>
        from layer in Enumerable.Range(0, int.MaxValue)
        from expert in Enumerable.Range(0, 256)
        from part in (string[])["gate_proj", "up_proj", "down_proj"]
        from kind in (string[])["weight", "weight_scale_inv"]
        select $"model.layers.{layer}.mlp.experts.{expert}.{part}.{kind}";

    private static async Task<byte[]> FileOf(Func<Stream, CancellationToken, Task> write, CancellationToken cancellationToken)
    {
        using var file = new MemoryStream();
        await write(file, cancellationToken);
        return file.ToArray();
    }

    private static ShardManifest Manifest(SyntheticCheckpoint model, byte[] file)
    {
        var description = Describe(file);
        return new ShardManifest
        {
            Name = "model",
            Source = [new("model.safetensors", file.Length, description.Format.Name())],
            ChunkBytes = ShardManifest.DefaultChunkBytes,
            Tensors =
            [
                .. model.Tensors.Select((tensor, i) => new ShardedTensor(
                    tensor.Name, tensor.DType, tensor.Shape, tensor.Bytes, Digest.Of(BitConverter.GetBytes(i)), [(ulong)i * 0x9E37_79B9_7F4A_7C15])),
            ],
            Metadata = description.Metadata,
            Values = description.Values,
        };
    }

    private static ImmutableArray<ManifestPack> PacksOf(ImmutableArray<ShardedTensor> tensors) =>
    [
        .. from pack in tensors.Chunk(TensorsPerPack)
           let places = pack.Select((tensor, i) => new PackedTensor(tensor.Name, i * pack[0].Bytes))
           select new ManifestPack(pack[0].Digest, pack.Sum(tensor => tensor.Bytes), [.. places]),
    ];

    private static CheckpointDescription Describe(byte[] file)
    {
        var parser = new CheckpointParser(file.Length);
        while (!parser.Wanted.IsEmpty)
        {
            parser.Supply([.. parser.Wanted.Select(range => (ReadOnlyMemory<byte>)file.AsMemory((int)range.Offset, (int)range.Length))]);
        }

        return parser.Description;
    }

    private static async Task CompareAsync(TextWriter output, int rounds, int tensors, string name, Action limit, Action parser)
    {
        var times = new List<(double Limit, double Parser)>();
        var allocated = 0L;
        for (var round = 0; round <= rounds; round++)
        {
            var (limitTime, _) = Measure(limit);
            (var time, allocated) = Measure(parser);
            times.Add((limitTime, time));
        }

        // The first round compiles.
        var counted = times.Skip(1).ToList();
        var (fast, own) = (Median(counted.Select(time => time.Limit)), Median(counted.Select(time => time.Parser)));
        await output.WriteLineAsync(string.Create(CultureInfo.InvariantCulture, $"{name,-34} {own * 1e3,8:N0} {own / fast,16:N2} {(double)allocated / tensors,15:N0}"));
    }

    private static (double Seconds, long Allocated) Measure(Action action)
    {
        GC.Collect();
        GC.WaitForPendingFinalizers();
        var (before, clock) = (GC.GetAllocatedBytesForCurrentThread(), Stopwatch.GetTimestamp());
        action();
        return (Stopwatch.GetElapsedTime(clock).TotalSeconds, GC.GetAllocatedBytesForCurrentThread() - before);
    }

    private static double Median(IEnumerable<double> values)
    {
        var sorted = values.Order().ToList();
        return sorted[sorted.Count / 2];
    }
}
