using Azure;

namespace CloudShards.Tests;

public sealed class PermissionTests : IAsyncLifetime
{
    private readonly StoredCheckpoint _stored = new();

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public ValueTask InitializeAsync() => _stored.InitializeAsync();

    public ValueTask DisposeAsync() => _stored.DisposeAsync();

    [Theory]
    [InlineData(401, "NoAuthenticationInformation")]
    [InlineData(403, "AuthorizationPermissionMismatch")]
    public async Task WhoMayNotReadIsToldWhatIsMissing(int status, string code)
    {
        await using var checkpoint = await _stored.OpenAsync();
        _stored.Store.Reading = _ => throw new RequestFailedException(status, "no", code, null);
        var server = new ScriptedServer(_ => ScriptedServer.Refusal((System.Net.HttpStatusCode)status, code));
        var (store, tensor) = (new BlobShardStore(server.Container()), checkpoint["norm.weight"]);
        var fetcher = new ShardFetcher(store, null, new(8, 1 << 20), 1_000, new(), new("net", new LogLines()));
        Func<Task>[] calls =
        [
            () => checkpoint.ReadAsync("norm.weight", new byte[14], Token),
            () => Task.Run(() => fetcher.Fetch(tensor, 0, new byte[14], Token), Token),
            () => ShardedCheckpoint.OpenFromAsync(store, "net", cancellationToken: Token),
            () => ShardedCheckpoint.ResolveAsync(store, "net", Token),
        ];

        foreach (var call in calls)
        {
            var refused = await Assert.ThrowsAsync<UnauthorizedAccessException>(call);
            Assert.Contains(code, refused.Message, StringComparison.Ordinal);
            Assert.Contains("Storage Blob Data Reader", refused.Message, StringComparison.Ordinal);
        }
    }
}
