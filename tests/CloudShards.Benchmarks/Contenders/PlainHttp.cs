using System.Net;
using System.Net.Http.Headers;

namespace CloudShards.Benchmarks.Contenders;

/// <summary>Ranged reads as fast as the runtime has them: no retry, no check but the status.</summary>
internal static class PlainHttp
{
    /// <summary>Fills memory from byte <paramref name="offset"/> of a resource on.</summary>
    public static async Task ReadAsync(this HttpClient http, Uri address, long offset, Memory<byte> destination, CancellationToken cancellationToken)
    {
        using var get = new HttpRequestMessage(HttpMethod.Get, address);
        get.Headers.Range = new RangeHeaderValue(offset, offset + destination.Length - 1);
        using var response = await http.SendAsync(get, HttpCompletionOption.ResponseHeadersRead, cancellationToken);
        if (response.StatusCode != HttpStatusCode.PartialContent)
        {
            throw new HttpRequestException($"{address.AbsolutePath} answered {(int)response.StatusCode}.");
        }

        await using var body = await response.Content.ReadAsStreamAsync(cancellationToken);
        await body.ReadExactlyAsync(destination, cancellationToken);
    }
}
