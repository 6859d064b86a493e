using Azure.Core;
using Azure.Core.Pipeline;
using Azure.Storage.Queues;
using Azure.Storage.Queues.Models;
using CloudShards.Sharding;
using CloudShards.Testing;

namespace CloudShards.EndToEnd.Tests;

/// <summary>A test's own queue of batches or events, and workers that take from it as the Functions host does.</summary>
internal sealed class BatchQueue
{
    private BatchQueue(QueueClient client) => Client = client;

    public QueueClient Client { get; }

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public static async Task<BatchQueue> CreateAsync(AzuriteFixture azurite, params HttpPipelinePolicy[] policies)
    {
        var name = $"b{Guid.NewGuid():N}";
        await azurite.Queues.CreateQueueAsync(name, cancellationToken: Token);
        var options = new QueueClientOptions();
        Array.ForEach(policies, policy => options.AddPolicy(policy, HttpPipelinePosition.PerCall));
        return new(new(azurite.Server.ConnectionString, name, options));
    }

    /// <summary>How many messages there are, those among them that show only later.</summary>
    public async Task<int> CountAsync() => (await Client.GetPropertiesAsync(Token)).Value.ApproximateMessagesCount;

    /// <summary>All messages, which are then gone from the queue.</summary>
    public async Task<IReadOnlyList<BinaryData>> TakeAllAsync()
    {
        var taken = new List<BinaryData>();
        while ((await Client.ReceiveMessagesAsync(32, cancellationToken: Token)).Value is { Length: > 0 } messages)
        {
            foreach (var message in messages)
            {
                await Client.DeleteMessageAsync(message.MessageId, message.PopReceipt, Token);
                taken.Add(new(Convert.FromBase64String(message.MessageText)));
            }
        }

        return taken;
    }

    /// <summary>Works off the queue with each of some pipelines at once, until there is nothing left.</summary>
    /// <returns>What the calls returned.</returns>
    public async Task<IReadOnlyList<JobStatus?>> WorkOffAsync(params IReadOnlyList<CheckpointPipeline> workers)
    {
        var statuses = await Task.WhenAll(workers.Select(WorkOffAsync));
        return [.. statuses.SelectMany(status => status)];
    }

    private async Task<List<JobStatus?>> WorkOffAsync(CheckpointPipeline worker)
    {
        var statuses = new List<JobStatus?>();
        while (await Client.ReceiveMessageAsync(cancellationToken: Token) is { Value: QueueMessage message })
        {
            statuses.Add(await worker.BatchAsync(new(Convert.FromBase64String(message.MessageText)), Token));
            await Client.DeleteMessageAsync(message.MessageId, message.PopReceipt, Token);
        }

        return statuses;
    }
}
