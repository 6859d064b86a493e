using CloudShards.Sharding;
using CloudShards.Testing;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Options;

namespace CloudShards.Functions.Tests;

public sealed class ShardingFunctionsTests(AzuriteFixture azurite)
{
    private static readonly (string, string?) Account = ("CheckpointStorage:accountName", "a");

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task AnUploadIsShardedByTheSettingsOfTheApp()
    {
        using var host = Host(("CheckpointStorage", azurite.Server.ConnectionString), ("Sharding:MaxBatchShards", "5"), ("Sharding:MaxPackedBytes", "0"));
        await host.StartAsync(Token);
        var storage = host.Services.GetRequiredService<StorageConnection>();
        foreach (var container in (string[])[StorageNames.Uploads, StorageNames.Shards, StorageNames.Work])
        {
            await storage.Blobs.GetBlobContainerClient(container).CreateAsync(cancellationToken: Token);
        }

        await storage.Queues.CreateQueueAsync(StorageNames.Batches, cancellationToken: Token);
        var blob = storage.Blobs.GetBlobContainerClient(StorageNames.Uploads).GetBlobClient("plain.pt");
        var written = (await blob.UploadAsync(new BinaryData(CorpusFile.Get("plain.pt").ReadAllBytes()), Token)).Value;
        var pipeline = host.Services.GetRequiredService<CheckpointPipeline>();

        var status = await pipeline.UploadedAsync(UploadEvent.Create(blob.Uri, StorageNames.Uploads, "plain.pt", written.ETag, written.LastModified), Token);
        Assert.Equal(JobState.Sharding, status.State);
        var messages = (await storage.Queues.GetQueueClient(StorageNames.Batches).ReceiveMessagesAsync(32, cancellationToken: Token)).Value;
        foreach (var message in messages)
        {
            await pipeline.BatchAsync(new(Convert.FromBase64String(message.MessageText)), Token);
        }

        Assert.Equal(JobState.Committed, (await pipeline.TryGetStatusAsync("plain.pt", written.ETag, Token))!.State);
        Assert.Equal(0, (await host.Services.GetRequiredService<ShardGarbage>().CollectAsync(TimeSpan.FromDays(7), cancellationToken: Token)).Shards);
    }

    [Fact]
    public void OptionsAreReadFromSettings()
    {
        using var host = Host(
            ("Sharding:MemoryBudgetBytes", "50000000"), ("Sharding:CopyByService", "false"), ("Sharding:GarbageGrace", "3.00:00:00"), ("Sharding:Limits:MaxRank", "9"));

        var options = host.Services.GetRequiredService<IOptions<ShardingOptions>>().Value;

        Assert.Equal((50_000_000, false, TimeSpan.FromDays(3), 9), (options.MemoryBudgetBytes, options.CopyByService, options.GarbageGrace, options.Limits.MaxRank));
        Assert.Equal(new ShardingOptions().MaxBatchBytes, options.MaxBatchBytes);
    }

    [Fact]
    public async Task SettingsThatCannotBeUsedStopTheAppAndAllAreNamed()
    {
        using var host = Host(
            Account, ("Sharding:MemoryBudgetBytes", "1000"), ("Sharding:MaxBatchShards", "0"), ("Sharding:MaxPackedBytes", "65537"), ("Sharding:SetQuietPeriod", "2.00:00:00"),
            ("Sharding:GarbageGrace", "1.00:00:00"));

        var error = await Assert.ThrowsAsync<OptionsValidationException>(() => host.StartAsync(Token));

        Assert.Equal(
            [
                "Setting `Sharding__MemoryBudgetBytes` is 1000; it is at least 20971520 (20 MiB).",
                "Setting `Sharding__MaxBatchShards` is 0; it is at least 1.",
                "Setting `Sharding__MaxPackedBytes` is 65537; it is 0 to 65536 (64 KiB).",
                "Setting `Sharding__SetQuietPeriod` is 2.00:00:00; it is 0 to 1.00:00:00.",
                "Setting `Sharding__GarbageGrace` is 1.00:00:00; it is at least 2.00:00:00.",
            ],
            error.Failures);
    }

    [Theory]
    [InlineData("Sharding:MaxBatchByte", "1")]
    [InlineData("Sharding:MaxBatchBytes", "many")]
    public async Task AMisspeltSettingStopsTheApp(string setting, string value)
    {
        using var host = Host(Account, (setting, value));

        var error = await Assert.ThrowsAsync<InvalidOperationException>(() => host.StartAsync(Token));

        Assert.Contains(setting[(setting.IndexOf(':', StringComparison.Ordinal) + 1)..], error.Message + error.InnerException?.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void AnAccountIsOpenedByItsAddresses()
    {
        using var host = Host(
            ("CheckpointStorage:blobServiceUri", "https://a.blob.core.windows.net"), ("CheckpointStorage:queueServiceUri", "https://a.queue.core.windows.net"),
            ("CheckpointStorage:credential", "managedidentity"), ("CheckpointStorage:clientId", Guid.Empty.ToString()));

        var storage = host.Services.GetRequiredService<StorageConnection>();

        Assert.Equal("https://a.blob.core.windows.net/", storage.Blobs.Uri.AbsoluteUri);
        Assert.Equal("https://a.queue.core.windows.net/", storage.Queues.Uri.AbsoluteUri);
    }

    [Fact]
    public void AnAccountIsOpenedByItsName()
    {
        using var host = Host(("CheckpointStorage:accountName", "a"));

        var storage = host.Services.GetRequiredService<StorageConnection>();

        Assert.Equal("https://a.blob.core.windows.net/", storage.Blobs.Uri.AbsoluteUri);
        Assert.Equal("https://a.queue.core.windows.net/", storage.Queues.Uri.AbsoluteUri);
    }

    [Theory]
    [InlineData(null, "is missing")]
    [InlineData("here", "is `here`, which is no address")]
    public void AnAccountThatIsNotNamedIsSaidSo(string? address, string found)
    {
        using var host = Host(("CheckpointStorage:blobServiceUri", address));

        var error = Assert.Throws<InvalidOperationException>(host.Services.GetRequiredService<StorageConnection>);

        Assert.Contains($"`CheckpointStorage__blobServiceUri` {found}", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task AnAppWithoutAnAccountStopsAtItsStartAndAllThatIsMissingIsNamed()
    {
        using var host = Host(("Sharding:MaxBatchShards", "0"));

        var error = await Assert.ThrowsAsync<AggregateException>(() => host.StartAsync(Token));

        var failures = error.InnerExceptions.Cast<OptionsValidationException>().SelectMany(inner => inner.Failures).ToList();
        Assert.Equal(3, failures.Count);
        Assert.Contains(failures, failure => failure.Contains("`Sharding__MaxBatchShards`", StringComparison.Ordinal));
        Assert.Contains(failures, failure => failure.Contains("`CheckpointStorage__blobServiceUri` is missing", StringComparison.Ordinal));
        Assert.Contains(failures, failure => failure.Contains("`CheckpointStorage__queueServiceUri` is missing", StringComparison.Ordinal));
    }

    [Theory]
    [InlineData("hello")]
    [InlineData("AccountName=a")]
    [InlineData("DefaultEndpointsProtocol=https;AccountName=a;AccountKey=!;EndpointSuffix=core.windows.net")]
    public async Task WhatIsNoConnectionStringStopsTheAppAndIsNotRepeated(string connection)
    {
        using var host = Host(("CheckpointStorage", connection));

        var error = await Assert.ThrowsAsync<OptionsValidationException>(() => host.StartAsync(Token));

        Assert.Contains("`CheckpointStorage` is no connection string", error.Message, StringComparison.Ordinal);
        Assert.DoesNotContain("AccountKey", error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(null, null, null)]
    [InlineData("InstrumentationKey=a", null, null)]
    [InlineData("InstrumentationKey=a", "Authorization=AAD", "")]
    [InlineData("InstrumentationKey=a", "Authorization=AAD;ClientId=b", "b")]
    [InlineData("InstrumentationKey=a", "clientid = b ; authorization=aad;", "b")]
    [InlineData("InstrumentationKey=a", "ClientId=b", null)]
    public void TelemetryGoesWhereAndAsWhomTheSettingsSay(string? connection, string? authentication, string? clientId)
    {
        var settings = new ConfigurationBuilder().AddInMemoryCollection(
            [new("APPLICATIONINSIGHTS_CONNECTION_STRING", connection), new("APPLICATIONINSIGHTS_AUTHENTICATION_STRING", authentication)]).Build();

        var found = ApplicationInsights.Find(settings);

        Assert.Equal((connection, clientId), (found?.ConnectionString, found?.ClientId));
        Assert.Equal(clientId is null, found?.Credential is null);
    }

    private static IHost Host(params (string Key, string? Value)[] settings)
    {
        var builder = Microsoft.Extensions.Hosting.Host.CreateEmptyApplicationBuilder(new());
        builder.Configuration.AddInMemoryCollection(settings.Select(setting => KeyValuePair.Create(setting.Key, setting.Value)));
        builder.Services.AddLogging();
        builder.Services.AddShardingFunctions(builder.Configuration);
        return builder.Build();
    }
}
