using System.Collections.Concurrent;
using System.Net.Http.Headers;
using System.Security.Cryptography;
using CloudShards.Formats;
using CloudShards.Sharding;

namespace CloudShards.Benchmarks.Contenders;

/// <summary>The limit of sharding: each tensor is read whole into a buffer, hashed and written, by plain HTTP, as many at once as the pipeline has lanes.</summary>
internal sealed class BareSharding : IContender
{
    private const int Lanes = 4;

    public string Name => "bare read-hash-write loop";

    public async Task<Job> PrepareAsync(Arena arena, Traffic traffic, CancellationToken cancellationToken)
    {
        var shards = arena.Container(arena.Target, traffic);
        await shards.CreateIfNotExistsAsync(cancellationToken: cancellationToken);
        var blob = arena.Container(Arena.Uploads, traffic).GetBlobClient(arena.File);
        var source = await BlobCheckpointSource.OpenAsync(blob, null, cancellationToken);
        var tensors = (await CheckpointProbe.DescribeAsync(source, null, cancellationToken)).Tensors;
        var http = new HttpClient(traffic, disposeHandler: false);
        var address = arena.Account.AddressOf(Arena.Uploads, arena.File);
        var buffers = new ConcurrentBag<byte[]>(Enumerable.Range(0, Lanes).Select(_ => new byte[tensors.Max(tensor => tensor.Bytes)]));
        return new(0, token => Parallel.ForEachAsync(tensors, new ParallelOptions { MaxDegreeOfParallelism = Lanes, CancellationToken = token }, async (tensor, stop) =>
        {
            buffers.TryTake(out var buffer);
            var content = buffer.AsMemory(0, (int)tensor.Bytes);
            await http.ReadAsync(address, tensor.Contiguous!.Value.Offset, content, stop);
            var digest = new Digest(SHA256.HashData(content.Span));
            using var put = new HttpRequestMessage(HttpMethod.Put, arena.Account.AddressOf(arena.Target, StoreLayout.Shard(digest)));
            put.Content = new ReadOnlyMemoryContent(content);
            put.Headers.Add("x-ms-blob-type", "BlockBlob");
            put.Headers.IfNoneMatch.Add(EntityTagHeaderValue.Any);
            using var response = await http.SendAsync(put, stop);
            response.EnsureSuccessStatusCode();
            buffers.Add(buffer!);
        }));
    }
}
