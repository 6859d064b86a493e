using System.Collections.Concurrent;
using CloudShards.Formats;
using Microsoft.Extensions.Logging;

namespace CloudShards.Sharding;

/// <summary>
/// Sweeps shards and packs that no manifest names: those of refused, overwritten and failed uploads, and of manifests that somebody deleted. Jobs may
/// run at the same time: FORMAT.md, "Garbage", has the rule that both sides keep.
/// </summary>
public sealed class ShardGarbage
{
    /// <summary>The least grace: a writer takes a shard that is up to a day old as it finds it, and publishes within a day.</summary>
    public static readonly TimeSpan MinGrace = 2 * ShardWriter.RenewAfter;

    private const int MaxConcurrency = 8;
    private static readonly string[] Folders = ["tensors/", "packs/"];

    private readonly IShardStore _shards;
    private readonly TimeProvider _clock;
    private readonly ILogger _log;

    /// <summary>A collector of a store's garbage.</summary>
    /// <param name="shards">The store. Its identity must be allowed to list and to delete.</param>
    /// <param name="clock">The clock by which shards age.</param>
    /// <param name="log">Is told what was swept.</param>
    public ShardGarbage(IShardStore shards, TimeProvider clock, ILogger<ShardGarbage> log) => (_shards, _clock, _log) = (shards, clock, log);

    /// <summary>Deletes the garbage that has had no change for a while.</summary>
    /// <param name="grace">That while; at least <see cref="MinGrace"/>.</param>
    /// <param name="isTrial">Whether nothing is deleted, only counted.</param>
    /// <param name="cancellationToken">Ends it; what is deleted stays so.</param>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="grace"/> is too short.</exception>
    /// <exception cref="CheckpointFormatException">A manifest cannot be read; nothing is deleted, since nobody knows what it names.</exception>
    public async Task<GarbageReport> CollectAsync(TimeSpan grace, bool isTrial = false, CancellationToken cancellationToken = default)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(grace, MinGrace);

        // Shards first, manifests after: a manifest that is published in between is read, and what it names was there before.
        var unchangedSince = _clock.GetUtcNow() - grace;
        var (candidates, examined) = await ListAsync(unchangedSince, cancellationToken).ConfigureAwait(false);
        if (candidates.Count > 0)
        {
            await SpareNamedAsync(candidates, cancellationToken).ConfigureAwait(false);
        }

        var swept = isTrial ? [.. candidates.Values] : await SweepAsync(candidates, unchangedSince, cancellationToken).ConfigureAwait(false);
        var report = new GarbageReport(examined, swept.Count, swept.Sum());
        Log.Swept(_log, report.Shards, report.Bytes, report.Examined, isTrial);
        return report;
    }

    // What is named is kept as a digest alone: a store may have millions of shards.
    private async Task<(Dictionary<(bool IsPack, Digest Digest), long> Candidates, int Examined)> ListAsync(
        DateTimeOffset unchangedSince, CancellationToken cancellationToken)
    {
        var (candidates, examined) = (new Dictionary<(bool, Digest), long>(), 0);
        foreach (var folder in Folders)
        {
            await foreach (var blob in _shards.ListAsync(folder, cancellationToken).ConfigureAwait(false))
            {
                examined++;
                if (blob.ModifiedAt <= unchangedSince && Digest.TryParse("sha256:" + blob.Name[(blob.Name.LastIndexOf('/') + 1)..], out var digest))
                {
                    candidates[(folder != Folders[0], digest)] = blob.Bytes;
                }
            }
        }

        return (candidates, examined);
    }

    private async Task SpareNamedAsync(Dictionary<(bool IsPack, Digest Digest), long> candidates, CancellationToken cancellationToken)
    {
        await foreach (var blob in _shards.ListAsync("checkpoints/", cancellationToken).ConfigureAwait(false))
        {
            if (!blob.Name.Contains("/manifests/", StringComparison.Ordinal)
                || await _shards.TryReadDocumentAsync(blob.Name, CheckpointLimits.Default.MaxManifestBytes, cancellationToken).ConfigureAwait(false) is not { } document)
            {
                continue;
            }

            var manifest = ShardManifest.Parse(document.Content.Span);
            foreach (var tensor in manifest.Tensors)
            {
                candidates.Remove((false, tensor.Digest));
            }

            foreach (var pack in manifest.Packs.IsDefault ? [] : manifest.Packs)
            {
                candidates.Remove((true, pack.Digest));
            }
        }
    }

    // A shard that a writer has renewed meanwhile stays.
    private async Task<IReadOnlyCollection<long>> SweepAsync(
        Dictionary<(bool IsPack, Digest Digest), long> garbage, DateTimeOffset unchangedSince, CancellationToken cancellationToken)
    {
        var swept = new ConcurrentBag<long>();
        var parallel = new ParallelOptions { MaxDegreeOfParallelism = MaxConcurrency, CancellationToken = cancellationToken };
        await Parallel.ForEachAsync(garbage, parallel, async (shard, token) =>
        {
            var name = shard.Key.IsPack ? StoreLayout.Pack(shard.Key.Digest) : StoreLayout.Shard(shard.Key.Digest);
            if (await _shards.TryDeleteAsync(name, unchangedSince, token).ConfigureAwait(false))
            {
                swept.Add(shard.Value);
            }
        }).ConfigureAwait(false);
        return swept;
    }
}

/// <summary>What a collection has found.</summary>
/// <param name="Examined">Shards and packs that are or were in the store.</param>
/// <param name="Shards">Those among them that were swept.</param>
/// <param name="Bytes">The bytes of these.</param>
public sealed record GarbageReport(int Examined, int Shards, long Bytes);
