using Azure.Core;
using Azure.Core.Pipeline;
using Azure.Storage.Blobs;
using Azure.Storage.Sas;

namespace CloudShards.Benchmarks.Servers;

/// <summary>What contenders read from: an emulator's account by its connection string, or a static server's by its address.</summary>
/// <param name="ConnectionString">Azurite's; null for a static server.</param>
/// <param name="Address">The static server's account, ending in <c>/</c>; null for Azurite.</param>
internal sealed record Account(string? ConnectionString, Uri? Address)
{
    private static readonly TimeSpan SasLifetime = TimeSpan.FromHours(6);

    /// <summary>A client of a container. That of a static server is anonymous and can only read.</summary>
    public BlobContainerClient Container(string name, Traffic traffic)
    {
        var options = traffic.BlobOptions();
        if (Address is null)
        {
            return new(ConnectionString, name, options);
        }

        options.AddPolicy(new PlainRangePolicy(), HttpPipelinePosition.BeforeTransport);
        return new(new Uri(Address, name), options);
    }

    /// <summary>A blob's address for plain HTTP, with the right to read it and, where the server can, to write it.</summary>
    public Uri AddressOf(string container, string blob)
    {
        if (Address is not null)
        {
            return new(Address, $"{container}/{blob}");
        }

        var client = new BlobContainerClient(ConnectionString, container);
        var sas = client.GenerateSasUri(BlobContainerSasPermissions.Read | BlobContainerSasPermissions.Write, DateTimeOffset.UtcNow + SasLifetime);
        return new UriBuilder(sas) { Path = $"{sas.AbsolutePath}/{blob}" }.Uri;
    }

    // The client library asks by a header of Azure's own, which a static server does not know: it would send the whole file.
    private sealed class PlainRangePolicy : HttpPipelineSynchronousPolicy
    {
        public override void OnSendingRequest(HttpMessage message)
        {
            if (message.Request.Headers.TryGetValue("x-ms-range", out var range))
            {
                message.Request.Headers.SetValue("Range", range);
            }
        }
    }
}
