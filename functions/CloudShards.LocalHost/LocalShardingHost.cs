using Azure.Storage.Queues;
using CloudShards.Sharding;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace CloudShards.LocalHost;

/// <summary>Runs the functions on one machine, from the same queues as the function app.</summary>
public static class LocalShardingHost
{
    /// <summary>Adds the watcher and the queue loops to a host's services, and the pipeline that they call.</summary>
    /// <param name="services">The host's services.</param>
    /// <param name="options">What to work on: <see cref="LocalHostOptions.ConnectionString"/> or <see cref="LocalHostOptions.Account"/> is set.</param>
    public static IServiceCollection AddLocalSharding(this IServiceCollection services, LocalHostOptions options)
    {
        services.TryAddSingleton(TimeProvider.System);
        services.AddSingleton(options);
        services.AddSingleton(LocalStorage.Open(options));
        services.AddSingleton(Pipeline);
        services.AddHostedService<UploadWatcher>();
        AddLoop(services, storage => storage.Events, storage => storage.FailedEvents, pipeline => pipeline.UploadedAsync);
        AddLoop(services, storage => storage.FailedEvents, _ => null, pipeline => pipeline.FailedAsync);
        AddLoop(services, storage => storage.Batches, storage => storage.FailedBatches, pipeline => pipeline.BatchAsync);
        AddLoop(services, storage => storage.FailedBatches, _ => null, pipeline => pipeline.BatchFailedAsync);
        return services;
    }

    private static CheckpointPipeline Pipeline(IServiceProvider provider)
    {
        var storage = provider.GetRequiredService<LocalStorage>();
        return new(
            storage.Uploads,
            new BlobShardStore(storage.Shards),
            new BlobShardStore(storage.Work),
            storage.Events,
            storage.Batches,
            provider.GetRequiredService<LocalHostOptions>().Sharding,
            provider.GetRequiredService<TimeProvider>(),
            provider.GetRequiredService<ILogger<CheckpointPipeline>>());
    }

    private static void AddLoop(
        IServiceCollection services,
        Func<LocalStorage, QueueClient> queue,
        Func<LocalStorage, QueueClient?> poison,
        Func<CheckpointPipeline, Func<BinaryData, CancellationToken, Task>> work) => services.AddSingleton<IHostedService>(provider =>
    {
        var storage = provider.GetRequiredService<LocalStorage>();
        return new QueueLoop(
            queue(storage),
            poison(storage),
            work(provider.GetRequiredService<CheckpointPipeline>()),
            provider.GetRequiredService<LocalHostOptions>(),
            provider.GetRequiredService<TimeProvider>(),
            provider.GetRequiredService<ILogger<QueueLoop>>());
    });
}
