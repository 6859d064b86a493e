using System.Security.Cryptography;
using Azure.Storage.Blobs;
using CloudShards.Formats;
using CloudShards.Sharding;
using Microsoft.Extensions.Logging.Abstractions;

namespace CloudShards.Chaos;

/// <summary>
/// A collector of garbage that sweeps while the workers work. It takes what was there before them, and was old when they began; what they write and find is
/// younger than its grace.
/// </summary>
internal sealed class GarbageRun
{
    private const int Count = 20;
    private static readonly TimeSpan Pause = TimeSpan.FromSeconds(2);

    private readonly BlobShardStore _store;
    private readonly ShardGarbage _garbage;

    private GarbageRun(BlobShardStore store, DateTimeOffset begun) =>
        (_store, _garbage) = (store, new(store, new Later(begun + ShardGarbage.MinGrace), NullLogger<ShardGarbage>.Instance));

    /// <summary>Leaves garbage behind, and waits until it is older than all that comes.</summary>
    public static async Task<GarbageRun> CreateAsync(BlobContainerClient shards, CancellationToken cancellationToken)
    {
        var store = new BlobShardStore(shards);
        for (var i = 0; i < Count; i++)
        {
            var bytes = RandomNumberGenerator.GetBytes(1000);
            await store.TryCreateAsync(StoreLayout.Shard(Digest.Of(bytes)), bytes, cancellationToken);
        }

        // The service's clock ticks once a second.
        await Task.Delay(Pause, cancellationToken);
        return new(store, DateTimeOffset.UtcNow - (Pause / 2));
    }

    /// <summary>Sweeps until it is told to end.</summary>
    public async Task RunAsync(CancellationToken stop)
    {
        using var timer = new PeriodicTimer(Pause);
        try
        {
            do
            {
                await _garbage.CollectAsync(ShardGarbage.MinGrace, cancellationToken: stop);
            }
            while (await timer.WaitForNextTickAsync(stop));
        }
        catch (OperationCanceledException) when (stop.IsCancellationRequested)
        {
        }
    }

    /// <summary>Looks whether all of the garbage is gone.</summary>
    public async Task<IReadOnlyList<string>> FindProblemsAsync(CancellationToken cancellationToken)
    {
        var left = (await _garbage.CollectAsync(ShardGarbage.MinGrace, isTrial: true, cancellationToken)).Shards;
        return left == 0 ? [] : [$"{left} shards of the garbage were not swept."];
    }

    private sealed class Later(DateTimeOffset now) : TimeProvider
    {
        public override DateTimeOffset GetUtcNow() => now;
    }
}
