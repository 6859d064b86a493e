using System.Diagnostics.CodeAnalysis;
using Microsoft.Extensions.Diagnostics.HealthChecks;

namespace InferenceService;

/// <summary>The model that answers. It is exchanged as a whole: requests that have begun end on the model that they began with.</summary>
internal sealed class ModelSlot : IHealthCheck, IDisposable
{
    private DigitModel? _current;

    /// <summary>Enters the model; the caller must leave it.</summary>
    public bool TryEnter([NotNullWhen(true)] out DigitModel? model)
    {
        // One that is gone was exchanged since it was looked up.
        do
        {
            model = Volatile.Read(ref _current);
        }
        while (model?.TryEnter() == false);
        return model is not null;
    }

    /// <summary>Puts a model into service, and takes the one before it out.</summary>
    public void Exchange(DigitModel? model) => Interlocked.Exchange(ref _current, model)?.Leave();

    /// <summary>Ready once there is a model, whatever becomes of the store.</summary>
    public Task<HealthCheckResult> CheckHealthAsync(HealthCheckContext context, CancellationToken cancellationToken = default) =>
        Task.FromResult(Volatile.Read(ref _current) is { } model
            ? HealthCheckResult.Healthy($"serving {model.Reference}")
            : HealthCheckResult.Unhealthy("no version of the model is loaded yet"));

    public void Dispose() => Exchange(null);
}
