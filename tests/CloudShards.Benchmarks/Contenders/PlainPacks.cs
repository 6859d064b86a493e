using CloudShards.Formats;

namespace CloudShards.Benchmarks.Contenders;

/// <summary>The limit of packs: their bytes by plain HTTP, which leaves tensors where they lie in them.</summary>
internal sealed class PlainPacks(string name, ShardedCheckpointOptions options) : IContender
{
    public string Name => name;

    public async Task<Job> PrepareAsync(Arena arena, Traffic traffic, CancellationToken cancellationToken)
    {
        await using var checkpoint = await arena.OpenAsync(traffic, cancellationToken);
        var packs = checkpoint.Manifest.Packs.IsDefaultOrEmpty
            ? throw new InvalidOperationException("The checkpoint has no packs. Its tensors have more than 64 KiB each.")
            : checkpoint.Manifest.Packs;
        var memory = packs.ToDictionary(pack => pack.Digest.Hex, pack => new NativeBytes(pack.Bytes), StringComparer.Ordinal);
        var http = new HttpClient(traffic, disposeHandler: false);
        var ranges = packs
            .SelectMany(pack => PlainHttp.Ranges(
                arena.Account.AddressOf(Arena.Shards, StoreLayout.Pack(pack.Digest)), memory[pack.Digest.Hex], checkpoint.Manifest, options))
            .ToList();
        return Job.Of(memory, token => http.ReadAllAsync(ranges, options, token));
    }
}
