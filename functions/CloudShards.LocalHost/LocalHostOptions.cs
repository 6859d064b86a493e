using CloudShards.Sharding;

namespace CloudShards.LocalHost;

/// <summary>What a local host works on.</summary>
public sealed record LocalHostOptions
{
    /// <summary>The connection string of the account. Null: <see cref="Account"/> tells it, or an Azurite is started.</summary>
    public string? ConnectionString { get; init; }

    /// <summary>The name or blob address of an account to use with the identity that is signed in. Null: none.</summary>
    public string? Account { get; init; }

    /// <summary>The container that is watched for uploads. Default <c>checkpoints</c>.</summary>
    public string Uploads { get; init; } = StorageNames.Uploads;

    /// <summary>The container that shards are written to. Default <c>shards</c>.</summary>
    public string Shards { get; init; } = StorageNames.Shards;

    /// <summary>The container of the documents of jobs. Default <c>work</c>.</summary>
    public string Work { get; init; } = StorageNames.Work;

    /// <summary>The queue of events. Default <c>checkpoint-events</c>.</summary>
    public string Events { get; init; } = StorageNames.Events;

    /// <summary>The queue of batches of large checkpoints. Default <c>shard-batches</c>.</summary>
    public string Batches { get; init; } = StorageNames.Batches;

    /// <summary>
    /// How long a message stays invisible to others while it is worked on; it is renewed meanwhile. One whose worker died shows again after it. Default a minute.
    /// </summary>
    public TimeSpan Visibility { get; init; } = TimeSpan.FromMinutes(1);

    /// <summary>How long the watcher and an idle queue loop wait before they look again. Default half a second.</summary>
    public TimeSpan PollInterval { get; init; } = TimeSpan.FromMilliseconds(500);

    /// <summary>How long a message that failed stays invisible before it is tried again. Default 5 seconds.</summary>
    public TimeSpan RetryDelay { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>How to shard.</summary>
    public ShardingOptions Sharding { get; init; } = new();
}
