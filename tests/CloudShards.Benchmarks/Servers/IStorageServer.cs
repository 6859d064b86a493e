namespace CloudShards.Benchmarks.Servers;

/// <summary>A server that lives as long as a contest.</summary>
internal interface IStorageServer : IAsyncDisposable
{
    /// <summary>What it is, for the header of the table.</summary>
    string Description { get; }

    /// <summary>How contenders reach it.</summary>
    Account Account { get; }

    /// <summary>A new file in the uploads container, to be written and disposed of.</summary>
    Task<Stream> OpenUploadAsync(string file, CancellationToken cancellationToken);

    /// <summary>The store of a container, which is created where it is missing.</summary>
    Task<IShardStore> OpenStoreAsync(string container, CancellationToken cancellationToken);

    /// <summary>Called when everything is written: the first contender is to meet what the last one meets.</summary>
    Task WarmAsync(CancellationToken cancellationToken);
}
