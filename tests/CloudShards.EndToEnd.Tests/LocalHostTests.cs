using Azure;
using Azure.Storage.Blobs;
using Azure.Storage.Blobs.Models;
using CloudShards.Formats;
using CloudShards.LocalHost;
using CloudShards.Sharding;
using CloudShards.Testing;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace CloudShards.EndToEnd.Tests;

/// <summary>The local host as a whole: watcher, queues, pipeline, from an upload by any client on.</summary>
public sealed class LocalHostTests(AzuriteFixture azurite) : IAsyncLifetime
{
    private readonly LogRecorder _log = new();
    private readonly LocalHostOptions _options = OptionsOf($"t{Guid.NewGuid():N}");
    private IHost _host = null!;

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    private LocalStorage Storage => _host.Services.GetRequiredService<LocalStorage>();

    public async ValueTask InitializeAsync()
    {
        _host = NewHost(azurite.Server.ConnectionString);
        await Storage.CreateAsync(Token);
    }

    public async ValueTask DisposeAsync()
    {
        using (_host)
        {
            await _host.StopAsync(CancellationToken.None);
        }
    }

    [Fact]
    public async Task AnUploadByAnyClientIsSharded()
    {
        await _host.StartAsync(Token);

        var status = await EndOfAsync("plain.pt", await UploadAsync("plain.pt"));

        Assert.Equal((JobState.Committed, "plain"), (status.State, status.Name));
        await using var checkpoint = await ShardedCheckpoint.OpenAsync(Storage.Shards, "plain", cancellationToken: Token);
        Assert.Equal(CorpusFile.Get("plain.pt").Tensors.Select(tensor => tensor.Digest), checkpoint.Tensors.Select(tensor => tensor.Digest));
    }

    [Fact]
    public async Task AnUploadThatWasThereBeforeTheHostIsSharded()
    {
        var etag = await UploadAsync("plain.pt");

        await _host.StartAsync(Token);

        Assert.Equal(JobState.Committed, (await EndOfAsync("plain.pt", etag)).State);
    }

    [Fact]
    public async Task ABadFileFailsAndTheNextGoodOneIsSharded()
    {
        await _host.StartAsync(Token);
        var bad = await UploadAsync("evil_os_system.pt");
        var good = await UploadAsync("plain.safetensors");

        var (refused, committed) = (await EndOfAsync("evil_os_system.pt", bad), await EndOfAsync("plain.safetensors", good));

        Assert.Equal((JobState.Failed, nameof(CheckpointError.Forbidden)), (refused.State, refused.Error!.Cause));
        Assert.Equal(JobState.Committed, committed.State);
        await DrainedAsync();
        Assert.Empty(_log.From(LogLevel.Warning));
    }

    [Theory]
    [InlineData("aGVsbG8=")]
    [InlineData("hello, this is not in Base64")]
    public async Task AMessageThatIsNoEventIsDroppedWithAnErrorAndTheHostGoesOn(string message)
    {
        await azurite.Queues.GetQueueClient(_options.Events).SendMessageAsync(message, Token);
        await _host.StartAsync(Token);

        await Eventually.TrueAsync(() => Task.FromResult(_log.From(LogLevel.Error).Count > 0));
        await DrainedAsync();

        Assert.Contains("names no job", Assert.Single(_log.From(LogLevel.Error)), StringComparison.Ordinal);
        Assert.Equal(JobState.Committed, (await EndOfAsync("plain.pt", await UploadAsync("plain.pt"))).State);
    }

    [Fact]
    public async Task FiveFailuresEndTheJobWithTheLastError()
    {
        await Storage.Shards.DeleteAsync(cancellationToken: Token);
        await _host.StartAsync(Token);

        var status = await EndOfAsync("plain.pt", await UploadAsync("plain.pt"));

        Assert.Equal((JobState.Failed, nameof(RequestFailedException)), (status.State, status.Error!.Cause));
        Assert.Contains("ContainerNotFound", status.Error.Message, StringComparison.Ordinal);
        await DrainedAsync();
        Assert.Equal(QueueLoop.MaxDequeueCount, _log.From(LogLevel.Warning).Count(entry => entry.Contains("failed at attempt", StringComparison.Ordinal)));
        Assert.Contains(_log.From(LogLevel.Error), entry => entry.StartsWith("Gave up on plain.pt", StringComparison.Ordinal));
    }

    [Fact]
    public async Task TwoHostsBesideEachOtherShareTheWork()
    {
        using var other = NewHost(azurite.Server.ConnectionString);
        await Task.WhenAll(_host.StartAsync(Token), other.StartAsync(Token));
        string[] files = ["plain.pt", "views.pt", "tied.pt", "plain.safetensors", "dtypes.pt"];

        var etags = await Task.WhenAll(files.Select(UploadAsync));

        foreach (var (file, etag) in files.Zip(etags))
        {
            Assert.Equal(JobState.Committed, (await EndOfAsync(file, etag)).State);
        }

        await DrainedAsync();
        await other.StopAsync(Token);
        Assert.Empty(_log.From(LogLevel.Error));
    }

    [Fact]
    public async Task AnOverwrittenUploadIsShardedAgain()
    {
        await _host.StartAsync(Token);
        var first = await EndOfAsync("model.pt", await UploadAsync("plain.pt", "model.pt"));

        var second = await EndOfAsync("model.pt", await UploadAsync("views.pt", "model.pt"));

        Assert.Equal((JobState.Committed, JobState.Committed), (first.State, second.State));
        var tag = await new CheckpointTags(new BlobShardStore(Storage.Shards)).TryReadAsync(CheckpointReference.Parse("model"), Token);
        Assert.Equal(second.Reference, $"model@{tag!.Digest}");
    }

    [Fact]
    public async Task ItStopsInOrder()
    {
        await _host.StartAsync(Token);
        await EndOfAsync("plain.pt", await UploadAsync("plain.pt"));

        await _host.StopAsync(Token);

        Assert.All(
            _host.Services.GetServices<IHostedService>().Cast<BackgroundService>(), service => Assert.True(service.ExecuteTask!.IsCompleted));
        Assert.Empty(_log.From(LogLevel.Warning));
    }

    private static LocalHostOptions OptionsOf(string name) => new()
    {
        Uploads = $"{name}-u",
        Shards = $"{name}-s",
        Work = $"{name}-w",
        Events = $"{name}-e",
        PollInterval = TimeSpan.FromMilliseconds(50),
        RetryDelay = TimeSpan.Zero,
    };

    private IHost NewHost(string connectionString)
    {
        var builder = Host.CreateEmptyApplicationBuilder(new());
        builder.Logging.AddProvider(_log);
        builder.Services.AddLocalSharding(_options with { ConnectionString = connectionString });
        return builder.Build();
    }

    private async Task<ETag> UploadAsync(string file, string path)
    {
        var client = new BlobContainerClient(azurite.Server.ConnectionString, _options.Uploads).GetBlobClient(path);
        BlobContentInfo written = await client.UploadAsync(CorpusFile.Get(file).Path, overwrite: true, Token);
        return written.ETag;
    }

    private Task<ETag> UploadAsync(string file) => UploadAsync(file, file);

    private Task<JobStatus> EndOfAsync(string path, ETag etag)
    {
        var pipeline = _host.Services.GetRequiredService<CheckpointPipeline>();
        return Eventually.GetAsync(async () => await pipeline.TryGetStatusAsync(path, etag, Token) is { IsFinal: true } status ? status : null);
    }

    private Task DrainedAsync() => Eventually.TrueAsync(async () =>
        (await Storage.Events.GetPropertiesAsync(Token)).Value.ApproximateMessagesCount == 0
        && (await Storage.FailedEvents.GetPropertiesAsync(Token)).Value.ApproximateMessagesCount == 0);
}
