using CloudShards.Sharding;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;

namespace CloudShards.Functions;

/// <summary>What the function app's triggers call, made from its settings.</summary>
public static class ShardingFunctions
{
    /// <summary>The section of settings that <see cref="ShardingOptions"/> are read from, as in <c>Sharding__MemoryBudgetBytes</c>.</summary>
    public const string Section = "Sharding";

    /// <summary>Adds the pipeline and the collector of garbage. Settings that cannot be used stop the app at its start, all of them named.</summary>
    /// <param name="services">The app's services.</param>
    /// <param name="configuration">Its settings.</param>
    public static IServiceCollection AddShardingFunctions(this IServiceCollection services, IConfiguration configuration)
    {
        ArgumentNullException.ThrowIfNull(configuration);
        services.AddSingleton(TimeProvider.System);
        services.AddOptions<ShardingOptions>().Bind(configuration.GetSection(Section), binder => binder.ErrorOnUnknownConfiguration = true).ValidateOnStart();
        services.AddSingleton<IValidateOptions<ShardingOptions>, ShardingOptionsValidation>();
        services.AddOptions<StorageConnection.Settings>().ValidateOnStart();
        services.AddSingleton<IValidateOptions<StorageConnection.Settings>>(new StorageValidation(configuration));
        services.AddSingleton(_ => StorageConnection.Open(configuration));
        services.AddSingleton<IShardStore>(provider =>
            new BlobShardStore(provider.GetRequiredService<StorageConnection>().Blobs.GetBlobContainerClient(StorageNames.Shards)));
        services.AddSingleton<ShardGarbage>();
        services.AddSingleton(provider =>
        {
            var storage = provider.GetRequiredService<StorageConnection>();
            return new CheckpointPipeline(
                storage.Blobs.GetBlobContainerClient(StorageNames.Uploads),
                provider.GetRequiredService<IShardStore>(),
                new BlobShardStore(storage.Blobs.GetBlobContainerClient(StorageNames.Work)),
                storage.Queues.GetQueueClient(StorageNames.Events),
                storage.Queues.GetQueueClient(StorageNames.Batches),
                provider.GetRequiredService<IOptions<ShardingOptions>>().Value,
                provider.GetRequiredService<TimeProvider>(),
                provider.GetRequiredService<ILogger<CheckpointPipeline>>());
        });
        return services;
    }

    private sealed class ShardingOptionsValidation : IValidateOptions<ShardingOptions>
    {
        public ValidateOptionsResult Validate(string? name, ShardingOptions options)
        {
            List<string> problems = [.. options.FindProblems().Select(problem => $"Setting `{Section}__{problem}")];
            return problems is [] ? ValidateOptionsResult.Success : ValidateOptionsResult.Fail(problems);
        }
    }

    private sealed class StorageValidation(IConfiguration configuration) : IValidateOptions<StorageConnection.Settings>
    {
        public ValidateOptionsResult Validate(string? name, StorageConnection.Settings options)
        {
            List<string> problems = [.. StorageConnection.FindProblems(configuration)];
            return problems is [] ? ValidateOptionsResult.Success : ValidateOptionsResult.Fail(problems);
        }
    }
}
