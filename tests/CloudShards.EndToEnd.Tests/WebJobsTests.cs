using System.Collections.Concurrent;
using Azure;
using CloudShards.Sharding;
using CloudShards.Testing;
using Microsoft.Azure.WebJobs;
using Microsoft.Azure.WebJobs.Host;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace CloudShards.EndToEnd.Tests;

/// <summary>
/// The functions on Microsoft's own trigger engine, the WebJobs SDK's JobHost: that what the local host's queue loop does is what the Functions
/// host does. Its packages are old ones, and are in this project alone.
/// </summary>
public sealed class WebJobsTests(AzuriteFixture azurite) : IAsyncLifetime
{
    private const int MaxDequeueCount = 5;

    private readonly string _events = $"e{Guid.NewGuid():N}";
    private StorageContainers _storage = null!;
    private Functions _functions = null!;
    private IHost _host = null!;

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync()
    {
        _storage = await StorageContainers.CreateAsync(azurite);
        _functions = new(_storage.NewPipeline());

        // A queue trigger does not create its queue.
        await azurite.Queues.CreateQueueAsync(_events, cancellationToken: Token);
        await azurite.Queues.CreateQueueAsync(_events + StorageNames.PoisonSuffix, cancellationToken: Token);
        _host = NewHost();
        await _host.StartAsync(Token);
    }

    public async ValueTask DisposeAsync()
    {
        using (_host)
        {
            await _host.StopAsync(CancellationToken.None);
        }
    }

    [Fact]
    public async Task AnEventIsSharded()
    {
        var upload = await _storage.UploadAsync(CorpusFile.Get("plain.pt"));
        await SendAsync(upload.Event);

        var status = await EndOfAsync(upload);

        Assert.Equal(JobState.Committed, status.State);
        await _storage.ReadAllAsync("plain");
        await DrainedAsync();
        Assert.Equal(["Uploaded"], _functions.Calls);
    }

    [Fact]
    public async Task ARefusedFileIsAnEndAndIsNotTriedAgain()
    {
        var upload = await _storage.UploadAsync(CorpusFile.Get("evil_os_system.pt"));
        await SendAsync(upload.Event);

        Assert.Equal(JobState.Failed, (await EndOfAsync(upload)).State);
        await DrainedAsync();
        Assert.Equal(["Uploaded"], _functions.Calls);
    }

    [Fact]
    public async Task FiveFailuresEndTheJobWithTheLastError()
    {
        await _storage.Plain.Shards.DeleteAsync(cancellationToken: Token);
        var upload = await _storage.UploadAsync(CorpusFile.Get("plain.pt"));
        await SendAsync(upload.Event);

        var status = await EndOfAsync(upload);

        Assert.Equal((JobState.Failed, nameof(RequestFailedException)), (status.State, status.Error!.Cause));
        Assert.Contains("ContainerNotFound", status.Error.Message, StringComparison.Ordinal);
        await DrainedAsync();
        Assert.Equal([.. Enumerable.Repeat("Uploaded", MaxDequeueCount), "Failed"], _functions.Calls);
    }

    [Fact]
    public async Task AMessageThatIsNoEventIsDropped()
    {
        await SendAsync(new("hello"));

        await Eventually.TrueAsync(() => Task.FromResult(_functions.Calls.Contains("Failed")));
        await DrainedAsync();
        Assert.Equal([.. Enumerable.Repeat("Uploaded", MaxDequeueCount), "Failed"], _functions.Calls);
    }

    private IHost NewHost() => new HostBuilder()
        .ConfigureAppConfiguration(configuration => configuration.AddInMemoryCollection(new Dictionary<string, string?>
        {
            ["AzureWebJobsStorage"] = azurite.Server.ConnectionString,
            ["Events"] = _events,
        }))
        .ConfigureServices(services => services
            .AddSingleton<ITypeLocator>(new OneType(typeof(Functions)))
            .AddSingleton<IJobActivator>(new OneInstance(_functions)))
        .ConfigureWebJobs(jobs => jobs.AddAzureStorage(
            queues =>
            {
                queues.MaxPollingInterval = TimeSpan.FromMilliseconds(200);
                queues.MaxDequeueCount = MaxDequeueCount;
                queues.VisibilityTimeout = TimeSpan.Zero;
            },
            _ => { }))
        .ConfigureLogging(logging => logging.ClearProviders())
        .Build();

    // The Functions host expects Base64, and Event Grid sends it.
    private async Task SendAsync(BinaryData message) =>
        await azurite.Queues.GetQueueClient(_events).SendMessageAsync(Convert.ToBase64String(message), Token);

    private Task<JobStatus> EndOfAsync(Upload upload) => Eventually.GetAsync(async () =>
        await _storage.NewPipeline().TryGetStatusAsync(upload.Path, upload.ETag, Token) is { IsFinal: true } status ? status : null);

    private Task DrainedAsync() => Eventually.TrueAsync(async () =>
        await CountAsync(_events) == 0 && await CountAsync(_events + StorageNames.PoisonSuffix) == 0);

    private async Task<int> CountAsync(string queue) =>
        (await azurite.Queues.GetQueueClient(queue).GetPropertiesAsync(Token)).Value.ApproximateMessagesCount;

    /// <summary>What the function app's classes are: they bind, call one method and note it.</summary>
    public sealed class Functions(CheckpointPipeline pipeline)
    {
        private readonly ConcurrentQueue<string> _calls = [];

        public IReadOnlyList<string> Calls => [.. _calls];

        public Task UploadedAsync([QueueTrigger("%Events%")] string message, CancellationToken cancellationToken)
        {
            _calls.Enqueue("Uploaded");
            return pipeline.UploadedAsync(new(message), cancellationToken);
        }

        public Task FailedAsync([QueueTrigger("%Events%" + StorageNames.PoisonSuffix)] string message, CancellationToken cancellationToken)
        {
            _calls.Enqueue("Failed");
            return pipeline.FailedAsync(new(message), cancellationToken);
        }
    }

    private sealed class OneType(Type type) : ITypeLocator
    {
        public IReadOnlyList<Type> GetTypes() => [type];
    }

    private sealed class OneInstance(object instance) : IJobActivator
    {
        public T CreateInstance<T>() => (T)instance;
    }
}
