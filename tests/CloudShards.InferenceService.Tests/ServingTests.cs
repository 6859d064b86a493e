using System.Net;
using System.Net.Http.Json;
using CloudShards;
using CloudShards.Formats;
using CloudShards.Testing;
using Microsoft.AspNetCore.Builder;

namespace InferenceService.Tests;

/// <summary>The service on a port of its own, its shards in Azurite.</summary>
public sealed class ServingTests(AzuriteFixture azurite) : IAsyncLifetime
{
    private static readonly (float[][] Images, int[] Labels) HeldOut = DigitVersions.HeldOut();

    private readonly RequestRecorder _recorder = new();
    private readonly HttpClient _http = new();
    private BlobShardStore _store = null!;
    private WebApplication _app = null!;

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync()
    {
        _store = new(await azurite.NewContainerAsync(_recorder));
        _app = InferenceApp.Create(["--urls=http://127.0.0.1:0", "--Digits:RefreshInterval=00:00:00.050", "--Logging:LogLevel:Default=None"], _store);
    }

    public async ValueTask DisposeAsync()
    {
        await _app.DisposeAsync();
        _http.Dispose();
    }

    [Fact]
    public async Task TheDigitsAreRecognised()
    {
        var published = await DigitVersions.PublishAsync(_store);
        await StartAsync();
        await ReadyAsync();

        var answer = await ClassifyAsync(HeldOut.Images);

        Assert.Equal(published.ToString(), answer.Version);
        Assert.Equal(HeldOut.Labels, answer.Digits);
        Assert.Equal(HttpStatusCode.OK, (await _http.GetAsync("/health", Token)).StatusCode);
    }

    [Fact]
    public async Task ATagThatMovesIsFollowedWithoutAFailedRequest()
    {
        var first = await DigitVersions.PublishAsync(_store);
        await StartAsync();
        await ReadyAsync();
        using var enough = CancellationTokenSource.CreateLinkedTokenSource(Token);
        var clients = Enumerable.Range(0, 4).Select(_ => Task.Run(() => AskUntilAsync(enough.Token), Token)).ToList();
        var second = await DigitVersions.PublishAsync(_store, changed: "classifier.3.bias");
        _recorder.Clear();

        await VersionAsync(second);
        await enough.CancelAsync();
        var versions = (await Task.WhenAll(clients)).SelectMany(version => version).Distinct().ToList();

        Assert.All(versions, version => Assert.Contains(version, new[] { first.ToString(), second.ToString() }));
        Assert.Contains(first.ToString(), versions);
        var shard = Assert.Single(_recorder.Requests, request => request.Method == "GET" && request.Blob.StartsWith("tensors/", StringComparison.Ordinal));
        Assert.Equal(StoreLayout.Shard(Digest.Of(new byte[40])), shard.Blob);
    }

    [Fact]
    public async Task ItIsNotReadyBeforeItHasAModel()
    {
        await StartAsync();

        Assert.Equal(HttpStatusCode.OK, (await _http.GetAsync("/health/live", Token)).StatusCode);
        Assert.Equal(HttpStatusCode.ServiceUnavailable, (await _http.GetAsync("/health/ready", Token)).StatusCode);
        Assert.Equal(HttpStatusCode.ServiceUnavailable, (await _http.GetAsync("/health", Token)).StatusCode);
        Assert.Equal(HttpStatusCode.ServiceUnavailable, (await PostAsync(HeldOut.Images[..1])).StatusCode);

        await DigitVersions.PublishAsync(_store);
        await ReadyAsync();
        Assert.Equal(HeldOut.Labels[..1], (await ClassifyAsync(HeldOut.Images[..1])).Digits);
    }

    [Fact]
    public async Task AVersionThatDoesNotFitLeavesTheOneThatDoes()
    {
        var first = await DigitVersions.PublishAsync(_store);
        await StartAsync();
        await ReadyAsync();
        var bad = await DigitVersions.PublishAsync(_store, left: "classifier.3.bias");
        _recorder.Clear();
        await RequestedAsync(StoreLayout.Manifest("digits", bad.Digest!.Value), 2);

        Assert.Equal(first.ToString(), (await ClassifyAsync(HeldOut.Images[..1])).Version);
        var good = await DigitVersions.PublishAsync(_store, changed: "features.0.bias");
        await VersionAsync(good);
    }

    [Fact]
    public async Task WhatIsNoImageIsRefused()
    {
        await StartAsync();
        float[][]?[] refused = [null, [], [new float[63]], [new float[64], new float[65]]];

        foreach (var images in refused)
        {
            using var answer = await PostAsync(images);

            Assert.Equal(HttpStatusCode.BadRequest, answer.StatusCode);
            Assert.Contains("64 pixels", await answer.Content.ReadAsStringAsync(Token), StringComparison.Ordinal);
        }
    }

    [Fact]
    public void AModelThatIsExchangedLivesUntilItsLastRequestEnds()
    {
        using var slot = new ModelSlot();
        var reference = CheckpointReference.ForDigest("digits", Digest.Of([]));
        var manifest = new ShardManifest { Name = "digits", ChunkBytes = 1, Tensors = [] };
        var model = new DigitModel(reference, manifest, new());
        slot.Exchange(model);
        Assert.True(slot.TryEnter(out var entered));

        slot.Exchange(null);

        Assert.Single(entered.Classify(HeldOut.Images[..1]));
        Assert.True(model.TryEnter());
        model.Leave();
        entered.Leave();
        Assert.False(model.TryEnter());
        Assert.False(slot.TryEnter(out _));
    }

    private async Task StartAsync()
    {
        await _app.StartAsync(Token);
        _http.BaseAddress = new(_app.Urls.Single());
    }

    private Task<HttpResponseMessage> PostAsync(float[][]? images, CancellationToken? cancellationToken = null) =>
        _http.PostAsJsonAsync("/classify", new { images }, cancellationToken ?? Token);

    private async Task<ClassifyResponse> ClassifyAsync(float[][] images, CancellationToken? cancellationToken = null)
    {
        using var answer = await PostAsync(images, cancellationToken);
        Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
        return (await answer.Content.ReadFromJsonAsync<ClassifyResponse>(cancellationToken ?? Token))!;
    }

    private async Task<List<string>> AskUntilAsync(CancellationToken enough)
    {
        var versions = new List<string>();
        while (!enough.IsCancellationRequested)
        {
            versions.Add((await ClassifyAsync(HeldOut.Images[..1], Token)).Version);
        }

        return versions;
    }

    private Task ReadyAsync() => UntilAsync(async () => (await _http.GetAsync("/health/ready", Token)).StatusCode == HttpStatusCode.OK);

    private Task VersionAsync(CheckpointReference version) =>
        UntilAsync(async () => (await ClassifyAsync(HeldOut.Images[..1])).Version == version.ToString());

    private Task RequestedAsync(string blob, int times) =>
        UntilAsync(() => Task.FromResult(_recorder.Requests.Count(request => request.Blob == blob) >= times));

    private static async Task UntilAsync(Func<Task<bool>> condition)
    {
        using var timer = new PeriodicTimer(TimeSpan.FromMilliseconds(10));
        while (!await condition())
        {
            await timer.WaitForNextTickAsync(Token);
        }
    }
}
