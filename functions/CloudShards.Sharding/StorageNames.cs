namespace CloudShards.Sharding;

/// <summary>The names of containers and queues in the storage account. The deployment creates them under the same names.</summary>
public static class StorageNames
{
    /// <summary>The container that checkpoints are uploaded to.</summary>
    public const string Uploads = "checkpoints";

    /// <summary>The container of shards, manifests and tags.</summary>
    public const string Shards = "shards";

    /// <summary>The container of the documents of jobs.</summary>
    public const string Work = "work";

    /// <summary>The queue that Event Grid delivers uploads to.</summary>
    public const string Events = "checkpoint-events";

    /// <summary>The queue of batches of large checkpoints.</summary>
    public const string Batches = "shard-batches";

    /// <summary>What is put behind a queue's name for the queue of messages that were tried too often, as the Functions host does it.</summary>
    public const string PoisonSuffix = "-poison";
}
