using System.Collections.Concurrent;
using Azure.Storage.Queues;
using Azure.Storage.Queues.Models;
using CloudShards.LocalHost;
using CloudShards.Testing;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Time.Testing;

namespace CloudShards.EndToEnd.Tests;

/// <summary>The queue loop of the local host, on real queues.</summary>
public sealed class QueueLoopTests(AzuriteFixture azurite) : IAsyncLifetime
{
    private readonly LogRecorder _log = new();
    private readonly RequestRecorder _requests = new();
    private QueueClient _queue = null!;
    private QueueClient _poison = null!;

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync()
    {
        var name = $"q{Guid.NewGuid():N}";
        var options = new QueueClientOptions();
        options.AddPolicy(_requests, Azure.Core.HttpPipelinePosition.PerRetry);
        _queue = new(azurite.Server.ConnectionString, name, options);
        _poison = new(azurite.Server.ConnectionString, name + "-poison");
        await _queue.CreateAsync(cancellationToken: Token);
        await _poison.CreateAsync(cancellationToken: Token);
    }

    public ValueTask DisposeAsync() => ValueTask.CompletedTask;

    [Theory]
    [InlineData("aGVsbG8=", "hello")]
    [InlineData("hello", "hello")]
    [InlineData("""{"type":"Microsoft.Storage.BlobCreated"}""", """{"type":"Microsoft.Storage.BlobCreated"}""")]
    public async Task AMessageIsWorkedOnAndDeletedWhetherItIsInBase64OrNot(string message, string body)
    {
        var seen = new TaskCompletionSource<string>();
        using var loop = Loop((content, _) => Task.FromResult(seen.TrySetResult(content.ToString())));
        await _queue.SendMessageAsync(message, Token);

        await loop.StartAsync(Token);

        Assert.Equal(body, await seen.Task.WaitAsync(Token));
        await EmptyAsync(_queue);
        await loop.StopAsync(Token);
        Assert.Equal(0, await CountAsync(_poison));
    }

    [Fact]
    public async Task AFailingMessageIsTriedFiveTimesWithItsContentAndThenSetAside()
    {
        var seen = new ConcurrentQueue<string>();
        using var loop = Loop((content, _) =>
        {
            seen.Enqueue(content.ToString());
            throw new InvalidDataException("no");
        });
        await _queue.SendMessageAsync("aGVsbG8=", Token);

        await loop.StartAsync(Token);

        QueueMessage aside = await Eventually.GetAsync(async () => (await _poison.ReceiveMessageAsync(cancellationToken: Token)).Value);
        Assert.Equal("aGVsbG8=", aside.MessageText);
        await EmptyAsync(_queue);
        await loop.StopAsync(Token);
        Assert.Equal(Enumerable.Repeat("hello", 5), seen);
        Assert.Equal(5, _log.From(LogLevel.Warning).Count);
    }

    [Fact]
    public async Task AMessageThatSucceedsAtLastIsNotSetAside()
    {
        var attempts = 0;
        using var loop = Loop((_, _) => ++attempts < 5 ? throw new OperationCanceledException("a timeout") : Task.CompletedTask);
        await _queue.SendMessageAsync("aGVsbG8=", Token);

        await loop.StartAsync(Token);

        await EmptyAsync(_queue);
        await loop.StopAsync(Token);
        Assert.Equal((5, 0), (attempts, await CountAsync(_poison)));
    }

    [Fact]
    public async Task AMessageThatFiveWorkersDiedOfIsSetAsideUntried()
    {
        await _queue.SendMessageAsync("aGVsbG8=", Token);
        for (var delivery = 0; delivery < QueueLoop.MaxDequeueCount; delivery++)
        {
            QueueMessage message = await _queue.ReceiveMessageAsync(cancellationToken: Token);
            await _queue.UpdateMessageAsync(message.MessageId, message.PopReceipt, visibilityTimeout: TimeSpan.Zero, cancellationToken: Token);
        }

        var attempts = 0;
        using var loop = Loop((_, _) => Task.FromResult(++attempts));
        await loop.StartAsync(Token);

        await EmptyAsync(_queue);
        await loop.StopAsync(Token);
        Assert.Equal((0, 1), (attempts, await CountAsync(_poison)));
    }

    [Fact]
    public async Task WithoutAPoisonQueueAMessageIsDroppedAtLast()
    {
        using var loop = new QueueLoop(_queue, null, (_, _) => throw new InvalidDataException("no"), Options(), TimeProvider.System, Logger());
        await _queue.SendMessageAsync("aGVsbG8=", Token);

        await loop.StartAsync(Token);

        await EmptyAsync(_queue);
        await loop.StopAsync(Token);
        Assert.Equal(0, await CountAsync(_poison));
    }

    [Fact]
    public async Task AMessageStaysInvisibleAsLongAsItIsWorkedOn()
    {
        var clock = new FakeTimeProvider();
        var (begun, done) = (new TaskCompletionSource(), new TaskCompletionSource());
        using var loop = new QueueLoop(
            _queue,
            _poison,
            (_, _) =>
            {
                begun.SetResult();
                return done.Task;
            },
            Options(),
            clock,
            Logger());
        await _queue.SendMessageAsync("aGVsbG8=", Token);
        await loop.StartAsync(Token);
        await begun.Task.WaitAsync(Token);

        clock.Advance(TimeSpan.FromSeconds(30));
        await Eventually.TrueAsync(() => Task.FromResult(Updates() == 1));
        clock.Advance(TimeSpan.FromSeconds(30));
        await Eventually.TrueAsync(() => Task.FromResult(Updates() == 2));
        done.SetResult();

        await EmptyAsync(_queue);
        await loop.StopAsync(Token);
        Assert.Empty(_log.From(LogLevel.Warning));

        // Renewing the visibility is the only PUT of this loop that was answered.
        int Updates() => _requests.Requests.Count(request => request is { Method: "PUT", Status: 204 } && request.Path.Contains("/messages/", StringComparison.Ordinal));
    }

    [Fact]
    public async Task ARenewalThatFailsOnceIsMadeTheNextTime()
    {
        var clock = new FakeTimeProvider();
        var (begun, done, updates) = (new TaskCompletionSource(), new TaskCompletionSource(), 0);
        var hook = new RequestHook
        {
            Answering = (_, request) => IsUpdate(request) && ++updates == 1 ? new ErrorResponse(403, "AuthorizationFailure") : null,
        };
        var options = new QueueClientOptions();
        options.AddPolicy(hook, Azure.Core.HttpPipelinePosition.PerCall);
        using var loop = new QueueLoop(
            new(azurite.Server.ConnectionString, _queue.Name, options), _poison, (_, _) => WorkAsync(begun, done), Options(), clock, Logger());
        await _queue.SendMessageAsync("aGVsbG8=", Token);
        await loop.StartAsync(Token);
        await begun.Task.WaitAsync(Token);

        clock.Advance(TimeSpan.FromSeconds(30));
        await Eventually.TrueAsync(() => Task.FromResult(_log.From(LogLevel.Warning).Count == 1));
        clock.Advance(TimeSpan.FromSeconds(30));
        await Eventually.TrueAsync(() => Task.FromResult(updates == 2));
        done.SetResult();

        await EmptyAsync(_queue);
        await loop.StopAsync(Token);
        Assert.Equal((1, 0), (_log.From(LogLevel.Warning).Count, await CountAsync(_poison)));
    }

    [Fact]
    public async Task AMessageThatIsLostMeanwhileIsSaidOnceAndItsWorkGoesOn()
    {
        var clock = new FakeTimeProvider();
        var (begun, done) = (new TaskCompletionSource(), new TaskCompletionSource());
        using var loop = new QueueLoop(_queue, _poison, (_, _) => WorkAsync(begun, done), Options(), clock, Logger());
        await _queue.SendMessageAsync("aGVsbG8=", Token);
        await loop.StartAsync(Token);
        await begun.Task.WaitAsync(Token);
        await _queue.ClearMessagesAsync(Token);

        clock.Advance(TimeSpan.FromSeconds(30));
        await Eventually.TrueAsync(() => Task.FromResult(_log.From(LogLevel.Warning).Count == 1));
        clock.Advance(TimeSpan.FromMinutes(5));
        done.SetResult();
        await _queue.SendMessageAsync("aGVsbG8=", Token);
        clock.Advance(TimeSpan.FromSeconds(1));
        await EmptyAsync(_queue);
        await loop.StopAsync(Token);

        Assert.Contains("was handed to another worker", Assert.Single(_log.From(LogLevel.Warning)), StringComparison.Ordinal);
    }

    [Fact]
    public async Task WorkThatTheHostsEndInterruptsStaysInTheQueue()
    {
        var begun = new TaskCompletionSource();
        using var loop = Loop((_, stop) =>
        {
            begun.SetResult();
            return Task.Delay(Timeout.Infinite, stop);
        });
        await _queue.SendMessageAsync("aGVsbG8=", Token);
        await loop.StartAsync(Token);
        await begun.Task.WaitAsync(Token);

        await loop.StopAsync(Token);

        Assert.Equal((1, 0), (await CountAsync(_queue), await CountAsync(_poison)));
        Assert.Empty(_log.From(LogLevel.Warning));
        Assert.True(loop.ExecuteTask!.IsCompleted);
    }

    [Fact]
    public async Task AQueueThatComesLaterIsWaitedFor()
    {
        await _queue.DeleteAsync(Token);
        var seen = new TaskCompletionSource();
        using var loop = Loop((_, _) => Task.FromResult(seen.TrySetResult()));
        await loop.StartAsync(Token);
        await Eventually.TrueAsync(() => Task.FromResult(_log.From(LogLevel.Warning).Count > 0));

        await Eventually.TrueAsync(async () => (await _queue.CreateIfNotExistsAsync(cancellationToken: Token)) is not null || await _queue.ExistsAsync(Token));
        await _queue.SendMessageAsync("aGVsbG8=", Token);

        await seen.Task.WaitAsync(Token);
        await loop.StopAsync(Token);
    }

    [Fact]
    public async Task AServiceThatCannotBeReachedDoesNotEndTheLoop()
    {
        var options = new QueueClientOptions { Retry = { MaxRetries = 1, Delay = TimeSpan.Zero } };
        var nowhere = new QueueClient(new Uri("http://127.0.0.1:1/account/queue"), options);
        using var loop = new QueueLoop(nowhere, null, (_, _) => Task.CompletedTask, Options(), TimeProvider.System, Logger());

        await loop.StartAsync(Token);
        await Eventually.TrueAsync(() => Task.FromResult(_log.From(LogLevel.Warning).Count >= 3));

        Assert.False(loop.ExecuteTask!.IsCompleted);
        await loop.StopAsync(Token);
    }

    private static Task WorkAsync(TaskCompletionSource begun, TaskCompletionSource done)
    {
        begun.TrySetResult();
        return done.Task;
    }

    private static bool IsUpdate(Azure.Core.Request request) =>
        request.Method == Azure.Core.RequestMethod.Put && request.Uri.Path.Contains("/messages/", StringComparison.Ordinal);

    private static LocalHostOptions Options() => new() { PollInterval = TimeSpan.FromMilliseconds(20), RetryDelay = TimeSpan.Zero };

    private static async Task<int> CountAsync(QueueClient queue) => (await queue.GetPropertiesAsync(Token)).Value.ApproximateMessagesCount;

    private static Task EmptyAsync(QueueClient queue) => Eventually.TrueAsync(async () => await CountAsync(queue) == 0);

    private QueueLoop Loop(Func<BinaryData, CancellationToken, Task> work) => new(_queue, _poison, work, Options(), TimeProvider.System, Logger());

    private Logger<QueueLoop> Logger() => new(LoggerFactory.Create(logging => logging.AddProvider(_log)));
}
