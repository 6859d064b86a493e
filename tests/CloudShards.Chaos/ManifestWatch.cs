using Azure.Storage.Blobs;
using CloudShards.Formats;

namespace CloudShards.Chaos;

/// <summary>A reader that checks every manifest as soon as it is there: a manifest that names a missing or wrong shard must never be seen.</summary>
internal sealed class ManifestWatch(BlobContainerClient shards)
{
    private readonly BlobShardStore _store = new(shards);
    private readonly HashSet<string> _checked = new(StringComparer.Ordinal);

    /// <summary>What was wrong.</summary>
    public List<string> Problems { get; } = [];

    /// <summary>How many manifests there were.</summary>
    public int Checked => _checked.Count;

    /// <summary>Checks until it is told to end.</summary>
    public async Task RunAsync(CancellationToken stop)
    {
        using var timer = new PeriodicTimer(TimeSpan.FromMilliseconds(200));
        try
        {
            do
            {
                await CheckAsync(stop);
            }
            while (await timer.WaitForNextTickAsync(stop));
        }
        catch (OperationCanceledException) when (stop.IsCancellationRequested)
        {
        }
    }

    /// <summary>Checks what is new.</summary>
    public async Task CheckAsync(CancellationToken cancellationToken)
    {
        await foreach (var blob in _store.ListAsync("checkpoints/", cancellationToken))
        {
            if (blob.Name.Contains("/manifests/", StringComparison.Ordinal) && !_checked.Contains(blob.Name))
            {
                await CheckAsync(blob.Name, cancellationToken);
                _checked.Add(blob.Name);
            }
        }
    }

    private async Task CheckAsync(string name, CancellationToken cancellationToken)
    {
        var document = await _store.TryReadDocumentAsync(name, CheckpointLimits.Default.MaxManifestBytes, cancellationToken);
        foreach (var tensor in ShardManifest.Parse(document!.Content.Span).Tensors)
        {
            try
            {
                var bytes = new byte[tensor.Bytes];
                await _store.ReadAsync(StoreLayout.Shard(tensor.Digest), 0, bytes, cancellationToken);
                if (Digest.Of(bytes) != tensor.Digest)
                {
                    Problems.Add($"{name}: the shard of `{tensor.Name}` has other bytes");
                }
            }
            catch (ShardNotFoundException)
            {
                Problems.Add($"{name}: the shard of `{tensor.Name}` is missing");
            }
        }
    }
}
