using System.Net;
using System.Net.Http.Headers;
using CloudShards.Formats;

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

    /// <summary>Reads many ranges, as many at once as the SDK may by its options.</summary>
    public static Task ReadAllAsync(
        this HttpClient http, IEnumerable<PlainRange> ranges, ShardedCheckpointOptions options, CancellationToken cancellationToken) =>
        Parallel.ForEachAsync(
            ranges,
            new ParallelOptions { MaxDegreeOfParallelism = options.MaxConcurrency, CancellationToken = cancellationToken },
            async (range, stop) => await http.ReadAsync(range.Address, range.Offset, range.Window, stop));

    /// <summary>The ranges of a blob, each as long as the SDK's requests are by its options.</summary>
    public static IEnumerable<PlainRange> Ranges(Uri address, NativeBytes memory, ShardManifest manifest, ShardedCheckpointOptions options) =>
        memory.Cut(RequestBytes(manifest, options)).Select(cut => new PlainRange(address, cut.Offset, cut.Window));

    // The SDK asks for whole chunks, and for one at least.
    private static long RequestBytes(ShardManifest manifest, ShardedCheckpointOptions options) =>
        Math.Max(manifest.ChunkBytes, options.MaxRequestBytes - (options.MaxRequestBytes % manifest.ChunkBytes));
}

/// <summary>A range of a resource, and where it goes.</summary>
internal readonly record struct PlainRange(Uri Address, long Offset, Memory<byte> Window);
