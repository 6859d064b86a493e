using Azure.Core;
using Azure.Identity;
using Microsoft.Extensions.Configuration;

namespace CloudShards.Functions;

/// <summary>Where telemetry goes, by the settings that the Functions host reads as well.</summary>
/// <param name="ConnectionString"><c>APPLICATIONINSIGHTS_CONNECTION_STRING</c>.</param>
/// <param name="ClientId">
/// The identity that sends it, of <c>APPLICATIONINSIGHTS_AUTHENTICATION_STRING</c> (<c>ClientId=…;Authorization=AAD</c>): empty for the app's own, null where none is
/// asked for.
/// </param>
internal sealed record ApplicationInsights(string ConnectionString, string? ClientId)
{
    /// <summary>What shows the identity.</summary>
    public TokenCredential? Credential => ClientId switch
    {
        null => null,
        "" => new ManagedIdentityCredential(ManagedIdentityId.SystemAssigned),
        _ => new ManagedIdentityCredential(ManagedIdentityId.FromUserAssignedClientId(ClientId)),
    };

    /// <summary>Reads the settings; null where telemetry goes nowhere.</summary>
    public static ApplicationInsights? Find(IConfiguration configuration)
    {
        if (configuration["APPLICATIONINSIGHTS_CONNECTION_STRING"] is not { Length: > 0 } connection)
        {
            return null;
        }

        var parts = (configuration["APPLICATIONINSIGHTS_AUTHENTICATION_STRING"] ?? "")
            .Split(';', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries)
            .Select(part => part.Split('=', 2, StringSplitOptions.TrimEntries))
            .ToLookup(part => part[0], part => part[^1], StringComparer.OrdinalIgnoreCase);
        var isAsked = string.Equals(parts["Authorization"].FirstOrDefault(), "AAD", StringComparison.OrdinalIgnoreCase);
        return new(connection, isAsked ? parts["ClientId"].FirstOrDefault() ?? "" : null);
    }
}
