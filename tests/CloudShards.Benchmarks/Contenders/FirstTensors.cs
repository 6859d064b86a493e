using CloudShards.Formats;

namespace CloudShards.Benchmarks.Contenders;

/// <summary>A small tensor and a large one, one after the other, again and again: a single time is too short to be measured.</summary>
internal static class FirstTensors
{
    public const int Times = 20;

    public static readonly string[] Wanted = ["layer0_norm1", "layer0_gate"];

    public static Dictionary<string, NativeBytes> MemoryIn(ShardedCheckpoint checkpoint) => NativeBytes.For(Wanted.Select(name => checkpoint[name]));

    public static Job Repeat(Dictionary<string, NativeBytes> memory, Func<CancellationToken, Task> once) =>
        Job.Of(memory, async token =>
        {
            for (var time = 0; time < Times; time++)
            {
                await once(token);
            }
        }) with { Times = Times };
}

/// <summary>The limit: the manifest's bytes, whose address is known, then those of the shards, as many ranges at once as the SDK's.</summary>
internal sealed class PlainFirst : IContender
{
    public string Name => "plain HTTP: manifest, then two shards";

    public async Task<Job> PrepareAsync(Arena arena, Traffic traffic, CancellationToken cancellationToken)
    {
        var options = new ShardedCheckpointOptions();
        await using var checkpoint = await arena.OpenAsync(traffic, cancellationToken);
        var memory = FirstTensors.MemoryIn(checkpoint);
        var manifest = arena.Account.AddressOf(Arena.Shards, StoreLayout.Manifest(checkpoint.Manifest.Name, checkpoint.Reference.Digest!.Value));
        var shards = FirstTensors.Wanted
            .Select(name => PlainHttp.Ranges(arena.AddressOf(checkpoint[name]), memory[name], checkpoint.Manifest, options).ToList())
            .ToList();
        var http = new HttpClient(traffic, disposeHandler: false);
        return FirstTensors.Repeat(memory, async token =>
        {
            await http.GetByteArrayAsync(manifest, token);
            foreach (var ranges in shards)
            {
                await http.ReadAllAsync(ranges, options, token);
            }
        });
    }
}

/// <summary>The SDK from nothing to the first tensors.</summary>
/// <param name="isByTag">Whether the tag is resolved first: one request more.</param>
internal sealed class SdkFirst(bool isByTag) : IContender
{
    public string Name => $"SDK: open by {(isByTag ? "tag" : "digest")}, then two tensors";

    public async Task<Job> PrepareAsync(Arena arena, Traffic traffic, CancellationToken cancellationToken)
    {
        await using var known = await arena.OpenAsync(traffic, cancellationToken);
        var memory = FirstTensors.MemoryIn(known);
        var opened = isByTag ? arena with { Reference = known.Reference.Name } : arena;
        return FirstTensors.Repeat(memory, async token =>
        {
            await using var checkpoint = await opened.OpenAsync(traffic, token);
            foreach (var name in FirstTensors.Wanted)
            {
                await checkpoint.ReadAllAsync(memory[name].Cut().Select(cut => new ShardRead(checkpoint[name], cut.Offset, cut.Window)), null, token);
            }
        });
    }
}
