using Azure.Core;
using Azure.Storage.Blobs;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Diagnostics.HealthChecks;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Options;

namespace CloudShards;

/// <summary>Makes the checkpoints that a program's configuration names available to it.</summary>
public static class CloudShardsRegistration
{
    /// <summary>
    /// Registers <see cref="NamedCheckpoints"/>. Settings that are wrong, or that there are none of, end the program when its host starts.
    /// </summary>
    /// <param name="services">The program's services.</param>
    /// <param name="section">The section of its configuration that has the <see cref="CloudShardsSettings"/>.</param>
    /// <param name="store">Where the shards are, if the configuration does not say.</param>
    public static IServiceCollection AddCloudShards(
        this IServiceCollection services, IConfiguration section, Func<IServiceProvider, IShardStore>? store = null)
    {
        ArgumentNullException.ThrowIfNull(services);
        ArgumentNullException.ThrowIfNull(section);
        services.AddOptions<CloudShardsSettings>().Bind(section, binder => binder.ErrorOnUnknownConfiguration = true).ValidateOnStart();
        services.AddSingleton<IValidateOptions<CloudShardsSettings>>(new CloudShardsSettings.Validation(store is not null));
        services.TryAddSingleton(provider => new NamedCheckpoints(
            store is null ? StoreOf(provider) : store(provider),
            provider.GetRequiredService<IOptions<CloudShardsSettings>>(),
            provider.GetService<ILogger<ShardedCheckpoint>>() ?? NullLogger<ShardedCheckpoint>.Instance));
        return services;
    }

    /// <summary>Adds a check that every checkpoint that the configuration names is there to be read.</summary>
    /// <param name="builder">The program's health checks.</param>
    /// <param name="name">The check's name.</param>
    /// <param name="failureStatus">What to report where one is not; null for unhealthy.</param>
    /// <param name="tags">The check's tags.</param>
    public static IHealthChecksBuilder AddCheckpoints(
        this IHealthChecksBuilder builder, string name = "cloudshards", HealthStatus? failureStatus = null, IEnumerable<string>? tags = null)
    {
        ArgumentNullException.ThrowIfNull(builder);
        return builder.Add(new(
            name, static provider => new CheckpointHealthCheck(provider.GetRequiredService<NamedCheckpoints>()), failureStatus, tags));
    }

    private static IShardStore StoreOf(IServiceProvider provider)
    {
        var settings = provider.GetRequiredService<IOptions<CloudShardsSettings>>().Value;
        return settings switch
        {
            { Folder: { } folder } => new DirectoryShardStore(folder),
            { ConnectionString: { } text } => new BlobShardStore(new(text, settings.ContainerName, ReadingClientOptions.Create())),
            _ => new BlobShardStore(ContainerOf(settings.Container!, provider.GetService<TokenCredential>())),
        };
    }

    private static BlobContainerClient ContainerOf(Uri address, TokenCredential? credential) =>
        credential is null || address.Query.Contains("sig=", StringComparison.Ordinal)
            ? new(address, ReadingClientOptions.Create())
            : new(address, credential, ReadingClientOptions.Create());
}
