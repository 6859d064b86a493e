using Azure.Core;
using CloudShards.Formats;
using Microsoft.Extensions.Options;

namespace CloudShards;

/// <summary>Which checkpoints a program reads, and from where: a section of its configuration, by <see cref="CloudShardsRegistration"/>.</summary>
public sealed class CloudShardsSettings
{
    /// <summary>
    /// The address of the container of the shards, as in <c>https://myaccount.blob.core.windows.net/shards</c>. It is read with the SAS
    /// that the address has, or the <see cref="TokenCredential"/> that the program has registered, or else without any.
    /// </summary>
    public Uri? Container { get; set; }

    /// <summary>In place of <see cref="Container"/>: a connection string of the account, for development.</summary>
    public string? ConnectionString { get; set; }

    /// <summary>The name of the container in the account of <see cref="ConnectionString"/>. Default <c>shards</c>.</summary>
    public string ContainerName { get; set; } = "shards";

    /// <summary>In place of <see cref="Container"/>: a folder that is a shard store.</summary>
    public string? Folder { get; set; }

    /// <summary>The checkpoints: the program's own name of each, and its reference, as in <c>llama-3-8b:prod</c>.</summary>
    public Dictionary<string, string> Checkpoints { get; } = [];

    /// <inheritdoc cref="ShardedCheckpointOptions.MaxConcurrency"/>
    public int? MaxConcurrency { get; set; }

    /// <inheritdoc cref="ShardedCheckpointOptions.MaxRequestBytes"/>
    public int? MaxRequestBytes { get; set; }

    /// <inheritdoc cref="ShardedCheckpointOptions.MaxBytesInFlight"/>
    public long? MaxBytesInFlight { get; set; }

    /// <inheritdoc cref="ShardedCheckpointOptions.MaxGapBytes"/>
    public int? MaxGapBytes { get; set; }

    /// <inheritdoc cref="ShardedCheckpointOptions.Verification"/>
    public ShardVerification? Verification { get; set; }

    /// <inheritdoc cref="ShardedCheckpointOptions.CacheFolder"/>
    public string? CacheFolder { get; set; }

    /// <inheritdoc cref="ShardedCheckpointOptions.CacheMaxBytes"/>
    public long? CacheMaxBytes { get; set; }

    /// <summary>The options that these settings ask for.</summary>
    internal ShardedCheckpointOptions ToOptions()
    {
        var standard = new ShardedCheckpointOptions();
        return standard with
        {
            MaxConcurrency = MaxConcurrency ?? standard.MaxConcurrency,
            MaxRequestBytes = MaxRequestBytes ?? standard.MaxRequestBytes,
            MaxBytesInFlight = MaxBytesInFlight ?? standard.MaxBytesInFlight,
            MaxGapBytes = MaxGapBytes ?? standard.MaxGapBytes,
            Verification = Verification ?? standard.Verification,
            CacheFolder = CacheFolder,
            CacheMaxBytes = CacheMaxBytes ?? standard.CacheMaxBytes,
        };
    }

    /// <summary>Finds what is wrong with settings, before anything is read.</summary>
    /// <param name="hasStore">Whether the program brings a store of its own.</param>
    internal sealed class Validation(bool hasStore) : IValidateOptions<CloudShardsSettings>
    {
        public ValidateOptionsResult Validate(string? name, CloudShardsSettings options)
        {
            var failures = Numbers(options).Concat(References(options)).ToList();
            string?[] places = [options.Container?.ToString(), options.ConnectionString, options.Folder];
            if (places.Count(place => place is not null) != (hasStore ? 0 : 1))
            {
                failures.Add(hasStore ? Errors.TwoStores : Errors.NoStore);
            }

            return failures.Count > 0 ? ValidateOptionsResult.Fail(failures) : ValidateOptionsResult.Success;
        }

        private static IEnumerable<string> References(CloudShardsSettings options)
        {
            if (options.Checkpoints.Count == 0)
            {
                yield return Errors.NoCheckpoints;
            }

            foreach (var (name, reference) in options.Checkpoints)
            {
                if (WhyNoReference(reference) is { } reason)
                {
                    yield return Errors.BadCheckpointSetting(name, reason);
                }
            }
        }

        private static IEnumerable<string> Numbers(CloudShardsSettings options) =>
            from number in new (string Name, long? Value, long Least)[]
            {
                (nameof(MaxConcurrency), options.MaxConcurrency, 1),
                (nameof(MaxRequestBytes), options.MaxRequestBytes, 1),
                (nameof(MaxBytesInFlight), options.MaxBytesInFlight, 1),
                (nameof(MaxGapBytes), options.MaxGapBytes, 0),
                (nameof(CacheMaxBytes), options.CacheMaxBytes, 1),
            }
            where number.Value < number.Least
            select Errors.SettingTooSmall(number.Name, number.Value!.Value, number.Least);

        private static string? WhyNoReference(string? reference)
        {
            try
            {
                CheckpointReference.Parse(reference ?? "");
                return null;
            }
            catch (FormatException e)
            {
                return e.Message;
            }
        }
    }
}
