using System.Diagnostics.CodeAnalysis;
using CloudShards;
using Microsoft.Extensions.Options;
using Quickstart;

namespace InferenceService;

/// <summary>
/// Loads the model, and then looks again and again whether the tag has moved. The next version is made beside the one that answers, of
/// which it takes the tensors that did not change. Whatever goes wrong leaves the model that is there in service.
/// </summary>
internal sealed partial class ModelRefresh(NamedCheckpoints checkpoints, ModelSlot slot, IOptions<DigitSettings> settings, ILogger<ModelRefresh> logger)
    : BackgroundService
{
    private const string Digits = "digits";

    private readonly ModuleLoadOptions _options = new() { Prefix = settings.Value.Prefix };

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        using var timer = new PeriodicTimer(settings.Value.RefreshInterval);
        do
        {
            await TryRefreshAsync(stoppingToken);
        }
        while (await timer.WaitForNextTickAsync(stoppingToken));
    }

    [SuppressMessage("Design", "CA1031", Justification = "A service that has a model goes on with it, whatever keeps it from the next one.")]
    private async Task TryRefreshAsync(CancellationToken cancellationToken)
    {
        try
        {
            await RefreshAsync(cancellationToken);
        }
        catch (Exception e) when (e is not OperationCanceledException || !cancellationToken.IsCancellationRequested)
        {
            LogFailed(logger, e, checkpoints[Digits]);
        }
    }

    private async Task RefreshAsync(CancellationToken cancellationToken)
    {
        var wanted = await checkpoints.ResolveAsync(Digits, cancellationToken);
        slot.TryEnter(out var current);
        try
        {
            if (current?.Reference != wanted)
            {
                slot.Exchange(await LoadAsync(current, cancellationToken));
            }
        }
        finally
        {
            current?.Leave();
        }
    }

    private async Task<DigitModel> LoadAsync(DigitModel? current, CancellationToken cancellationToken)
    {
        await using var checkpoint = await checkpoints.OpenAsync(Digits, cancellationToken);
        var module = new DigitClassifier();
        try
        {
            if (current is null)
            {
                await module.LoadShardsAsync(checkpoint, _options, cancellationToken: cancellationToken);
                LogLoaded(logger, checkpoint.Reference.ToString());
            }
            else
            {
                var result = await module.RefreshShardsAsync(
                    checkpoint, current.Module, current.Manifest, _options, cancellationToken: cancellationToken);
                LogRefreshed(logger, checkpoint.Reference.ToString(), result.TensorsRead, result.BytesRead, result.TensorsKept);
            }

            module.eval();
            return new(checkpoint.Reference, checkpoint.Manifest, module);
        }
        catch
        {
            module.Dispose();
            throw;
        }
    }

    [LoggerMessage(1, LogLevel.Information, "Serving {Version}.")]
    private static partial void LogLoaded(ILogger logger, string version);

    [LoggerMessage(2, LogLevel.Information, "Serving {Version}: {Read} tensors of {Bytes} bytes were read, {Kept} kept.")]
    private static partial void LogRefreshed(ILogger logger, string version, int read, long bytes, int kept);

    [LoggerMessage(3, LogLevel.Error, "{Checkpoint} could not be loaded. What is served stays; it is tried again.")]
    private static partial void LogFailed(ILogger logger, Exception exception, string checkpoint);
}
