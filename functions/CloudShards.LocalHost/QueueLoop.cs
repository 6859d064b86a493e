using Azure;
using Azure.Storage.Queues;
using Azure.Storage.Queues.Models;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace CloudShards.LocalHost;

/// <summary>
/// Works off a queue as the Functions host does: takes a message, keeps it invisible while the work goes on, deletes it on success, shows it
/// again after a while on failure, and moves it to the poison queue after the fifth.
/// </summary>
/// <param name="queue">The queue.</param>
/// <param name="poison">Where messages go that failed five times; null where they are dropped.</param>
/// <param name="work">What is done with a message.</param>
/// <param name="options">The waits.</param>
/// <param name="clock">The clock of the waits.</param>
/// <param name="log">Is told of failures.</param>
internal sealed class QueueLoop(
    QueueClient queue,
    QueueClient? poison,
    Func<BinaryData, CancellationToken, Task> work,
    LocalHostOptions options,
    TimeProvider clock,
    ILogger<QueueLoop> log) : BackgroundService
{
    /// <summary>How often a message is tried.</summary>
    public const int MaxDequeueCount = 5;

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        while (!stoppingToken.IsCancellationRequested)
        {
            var isIdle = true;
            try
            {
                QueueMessage? message = await queue.ReceiveMessageAsync(options.Visibility, stoppingToken);
                if (message is not null)
                {
                    isIdle = false;
                    await HandOverAsync(message, stoppingToken);
                }
            }
            catch (Exception e) when (!stoppingToken.IsCancellationRequested)
            {
                // Whatever it was, the message is still there or shows again.
                Log.QueueFailed(log, queue.Name, e);
            }

            if (isIdle)
            {
                await Task.Delay(options.PollInterval, clock, stoppingToken);
            }
        }
    }

    private async Task HandOverAsync(QueueMessage message, CancellationToken stoppingToken)
    {
        // A worker that died has left its message here without a word; it counts all the same.
        if (message.DequeueCount > MaxDequeueCount)
        {
            await GiveUpAsync(message, message.PopReceipt, stoppingToken);
            return;
        }

        using var working = CancellationTokenSource.CreateLinkedTokenSource(stoppingToken);
        var renewal = RenewAsync(message, working.Token, stoppingToken);
        Exception? failure = null;
        string? popReceipt;
        try
        {
            await work(QueueText.BodyOf(message.MessageText), working.Token);
        }
        catch (Exception e) when (!stoppingToken.IsCancellationRequested)
        {
            failure = e;
        }
        finally
        {
            await working.CancelAsync();
            popReceipt = await renewal;
        }

        if (popReceipt is not null)
        {
            await SettleAsync(message, popReceipt, failure, stoppingToken);
        }
        else if (failure is not null)
        {
            Log.WorkFailed(log, queue.Name, message.DequeueCount, MaxDequeueCount, failure);
        }
    }

    private async Task SettleAsync(QueueMessage message, string popReceipt, Exception? failure, CancellationToken stoppingToken)
    {
        if (failure is null)
        {
            await queue.DeleteMessageAsync(message.MessageId, popReceipt, stoppingToken);
            return;
        }

        Log.WorkFailed(log, queue.Name, message.DequeueCount, MaxDequeueCount, failure);
        if (message.DequeueCount >= MaxDequeueCount)
        {
            await GiveUpAsync(message, popReceipt, stoppingToken);
        }
        else
        {
            await queue.UpdateMessageAsync(message.MessageId, popReceipt, visibilityTimeout: options.RetryDelay, cancellationToken: stoppingToken);
        }
    }

    private async Task GiveUpAsync(QueueMessage message, string popReceipt, CancellationToken stoppingToken)
    {
        if (poison is not null)
        {
            await poison.SendMessageAsync(message.MessageText, stoppingToken);
        }

        await queue.DeleteMessageAsync(message.MessageId, popReceipt, stoppingToken);
    }

    // Returns the message's newest receipt; null where somebody else has the message by now, or it is gone. The work goes on all the same, for what both
    // do is written once.
    private async Task<string?> RenewAsync(QueueMessage message, CancellationToken working, CancellationToken stoppingToken)
    {
        var popReceipt = message.PopReceipt;
        using var timer = new PeriodicTimer(options.Visibility / 2, clock);
        try
        {
            while (await timer.WaitForNextTickAsync(working))
            {
                try
                {
                    UpdateReceipt renewed = await queue.UpdateMessageAsync(
                        message.MessageId, popReceipt, visibilityTimeout: options.Visibility, cancellationToken: stoppingToken);
                    popReceipt = renewed.PopReceipt;
                }
                catch (RequestFailedException e) when (e.Status is 400 or 404 && (e.ErrorCode == QueueErrorCode.PopReceiptMismatch || e.ErrorCode == QueueErrorCode.MessageNotFound))
                {
                    Log.MessageLost(log, queue.Name, options.Visibility);
                    return null;
                }
                catch (Exception e) when (e is RequestFailedException or AggregateException)
                {
                    // The next time may be in time still.
                    Log.QueueFailed(log, queue.Name, e);
                }
            }
        }
        catch (OperationCanceledException)
        {
            // The work is done.
        }

        return popReceipt;
    }
}
