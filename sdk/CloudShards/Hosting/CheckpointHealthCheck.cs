using System.Collections.Immutable;
using System.Diagnostics.CodeAnalysis;
using CloudShards.Formats;
using Microsoft.Extensions.Diagnostics.HealthChecks;

namespace CloudShards;

/// <summary>Whether every checkpoint that the configuration names is there to be read: a small request or two for each.</summary>
internal sealed class CheckpointHealthCheck(NamedCheckpoints checkpoints) : IHealthCheck
{
    public async Task<HealthCheckResult> CheckHealthAsync(HealthCheckContext context, CancellationToken cancellationToken = default)
    {
        var found = await Task.WhenAll(checkpoints.Names.Select(name => FindAsync(name, cancellationToken))).ConfigureAwait(false);
        var data = found.ToImmutableDictionary(checkpoint => checkpoint.Name, checkpoint => (object)checkpoint.Text);
        var failures = found.Where(checkpoint => checkpoint.Failure is not null).ToList();
        return failures.Count == 0
            ? HealthCheckResult.Healthy(data: data)
            : new(context.Registration.FailureStatus, string.Join(" ", failures.Select(failure => failure.Text)), failures[0].Failure, data);
    }

    [SuppressMessage("Design", "CA1031", Justification = "Whatever keeps a checkpoint from being read is what this check is to tell.")]
    private async Task<(string Name, string Text, Exception? Failure)> FindAsync(string name, CancellationToken cancellationToken)
    {
        try
        {
            var reference = await checkpoints.ResolveAsync(name, cancellationToken).ConfigureAwait(false);
            var manifest = StoreLayout.Manifest(reference.Name, reference.Digest!.Value);
            return await checkpoints.Store.TryFindAsync(manifest, cancellationToken).ConfigureAwait(false) is null
                ? throw Errors.NoSuchManifest(CheckpointReference.Parse(checkpoints[name]), reference.Digest!.Value)
                : (name, reference.ToString(), null);
        }
        catch (Exception e) when (e is not OperationCanceledException || !cancellationToken.IsCancellationRequested)
        {
            return (name, e.Message, e);
        }
    }
}
