using CloudShards.Formats;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;

namespace CloudShards;

/// <summary>
/// The checkpoints that a program's configuration names. The requests of all that are open share one budget. All members may be called at once from several threads.
/// </summary>
public sealed class NamedCheckpoints
{
    private readonly CloudShardsSettings _settings;
    private readonly ShardedCheckpointOptions _options;

    internal NamedCheckpoints(IShardStore store, IOptions<CloudShardsSettings> settings, ILogger<ShardedCheckpoint> logger)
    {
        Store = store;
        _settings = settings.Value;
        var options = _settings.ToOptions();
        _options = options with { Logger = logger, Budget = new(options.MaxConcurrency, options.MaxBytesInFlight) };
    }

    /// <summary>Where the shards are.</summary>
    public IShardStore Store { get; }

    /// <summary>The names.</summary>
    public IReadOnlyCollection<string> Names => _settings.Checkpoints.Keys;

    /// <summary>The reference that the configuration has under a name.</summary>
    /// <exception cref="KeyNotFoundException">It has none.</exception>
    public string this[string name] =>
        _settings.Checkpoints.TryGetValue(name, out var reference) ? reference : throw Errors.NoCheckpointSetting(name, Names);

    /// <summary>Opens the checkpoint that a name's reference names now; the caller disposes of it.</summary>
    /// <inheritdoc cref="ShardedCheckpoint.OpenFromAsync"/>
    /// <exception cref="KeyNotFoundException">The configuration has no such name.</exception>
    public Task<ShardedCheckpoint> OpenAsync(string name, CancellationToken cancellationToken = default) =>
        ShardedCheckpoint.OpenFromAsync(Store, this[name], _options, cancellationToken);

    /// <summary>The manifest that a name's reference names now: one small request at most.</summary>
    /// <inheritdoc cref="ShardedCheckpoint.ResolveAsync"/>
    /// <exception cref="KeyNotFoundException">The configuration has no such name.</exception>
    public Task<CheckpointReference> ResolveAsync(string name, CancellationToken cancellationToken = default) =>
        ShardedCheckpoint.ResolveAsync(Store, this[name], cancellationToken);
}
